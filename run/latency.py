"""The latency tables of a run: which target is meant, the table that is there, or a new one."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, unknown_name
from ..evaluation.latency.table import LatencyTable
from ..evaluation.latency.target import TASK, LatencyTarget, busy, machine_name, padded_lengths
from .folder import RunFolder
from .settings import LatencySettings, SearchSettings

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

    from ..supernet import Supernet

OnMachine = Callable[..., Any]
UNASKED = LatencySettings()


def here(function: Callable[..., Any], *arguments: object) -> Any:
    """Call a function in this process."""
    return function(*arguments)


def latency_target(
    config: PreTrainedConfig, settings: LatencySettings, *, prefix: str = "--search-latency-"
) -> LatencyTarget:
    """Complete the latency settings with this machine and with the positions of the model of this configuration.

    A task's lengths are left open, for that its data must be read.

    Args:
        config: the model's.
        settings: what was asked for.
        prefix: of the options that it was asked with.

    Raises:
        InputError: texts longer than the model's positions, no such device here, no such runtime, or one that is not
            installed or does not run on that device or in that precision.
    """
    import torch  # here and below: what a table says is read without it

    from ..evaluation.latency.runtimes import RUNTIMES, check_runs
    from ..supernet.stored.storage import model_positions

    if settings.runtime not in RUNTIMES:
        raise unknown_name("runtime", settings.runtime, RUNTIMES)
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise InputError(f"{prefix}device is cuda, but PyTorch finds no CUDA device here; give cpu")
    auto = "cuda" if torch.cuda.is_available() and not RUNTIMES[settings.runtime].onnx else "cpu"
    device = auto if settings.device == "auto" else settings.device
    positions = model_positions(config)
    length = settings.sequence_length or str(min(128, positions))
    if length != TASK and int(length) > positions:
        raise InputError(
            f"{prefix}sequence-length is {length}, but the model has {positions} positions; give at most that"
        )
    target = LatencyTarget(
        machine=machine_name(device),
        device=device,
        threads=settings.threads or torch.get_num_threads(),
        batch_size=settings.batch_size,
        sequence_length=TASK if length == TASK else int(length),
        precision=settings.precision,
        runtime=settings.runtime,
    )
    check_runs(target)
    return target


def with_lengths(target: LatencyTarget, folder: RunFolder) -> LatencyTarget:
    """Complete a target whose lengths are the task's with those of the run's selection split."""
    from .project import open_task

    if target.sequence_length != TASK or target.lengths:
        return target
    lengths = padded_lengths(open_task(folder).selection.lengths, target.batch_size)
    return target.model_copy(update={"lengths": lengths})


def open_latency_table(
    folder: RunFolder, supernet: Supernet, settings: LatencySettings, on_machine: OnMachine = here
) -> LatencyTable:
    """Load the run's latency table for a target, or measure it.

    Args:
        folder: the run.
        supernet: gives the sizes.
        settings: how the machine is used.
        on_machine: calls a function with arguments on the machine whose latency counts.

    Raises:
        InputError: the table there was measured on another machine.
    """
    target = with_lengths(on_machine(latency_target, supernet.model.config, settings), folder)
    path = folder.latency_table(target.name)
    table = LatencyTable.load(path) if path.exists() else None
    if table is not None and not (_elastic_hidden(folder) and len(table.hidden_sizes) == 1):  # made for one width
        if table.target != target:
            raise InputError(
                f"the latency table {path} belongs to {table.target}, this is {target}; delete it to measure here, or "
                "go back to that machine"
            )
        return table
    return measure_table(folder, supernet, target, on_machine=on_machine)


def measure_table(
    folder: RunFolder,
    supernet: Supernet,
    target: LatencyTarget,
    *,
    seconds: float = 50.0,
    on_machine: OnMachine = here,
) -> LatencyTable:
    """Calibrate a table for a target of this machine, or of another; store it, and say how good it is."""
    from ..evaluation.latency.calibration import calibrate

    elastic = _elastic_hidden(folder)
    with folder.writing():
        if on_machine is here:
            with folder.tell.progress("latency table") as tick:
                table = calibrate(supernet, target, elastic_hidden=elastic, seconds=seconds, report=tick)
        else:
            folder.tell.say(f"latency table: measuring on {target.machine}")
            table = on_machine(_calibrated, supernet.model, target, elastic, seconds)
        table.save(latency_table_path(folder, target))
    folder.tell.say(f"latency table for {target}: median error {table.error:.1%} on networks it was not fitted on")
    warning = busy(table.accuracy.spread)
    if warning:
        folder.tell.say(f"warning: {warning}")
    return table


def _elastic_hidden(folder: RunFolder) -> bool:
    """Tell whether the run's subnetworks may have other widths; what is only pruned has not."""
    return "supernet" in folder.record["stages"] and folder.settings("supernet")["elastic_hidden"]


def run_latency_settings(folder: RunFolder, asked: LatencySettings = UNASKED) -> LatencySettings:
    """Return how the run's models are served: as in its searches, else in its pruning, but for what is asked for."""
    searched = searched_settings(folder)
    pruned = folder.record["stages"].get("prune", {}).get("settings", {}).get("latency", {})
    known = LatencySettings.model_validate(pruned) if searched is None else searched.latency
    return known.model_copy(update=asked.model_dump(exclude_defaults=True))


def run_latency_table(folder: RunFolder, supernet: Supernet, asked: LatencySettings = UNASKED) -> LatencyTable:
    """Load or measure the table of the run's target.

    Args:
        folder: the run.
        supernet: gives the sizes.
        asked: how models are to be served; what is left at its default is as it was.

    Raises:
        InputError: the table there was measured on another machine, or the archive's latencies are of another target.
    """
    stages, settings = folder.record["stages"], run_latency_settings(folder, asked)
    mine = latency_target(supernet.model.config, settings, prefix="--latency-").name
    before = [stages[name]["target"] for name in ("search", "standard", "prune") if "target" in stages.get(name, {})]
    if before and before[0] != mine:
        raise InputError(
            f"the latencies in {folder.archive} are of {before[0]}, these would be of {mine} (device, threads, batch "
            "size, sequence length, precision, runtime); prune with those again, or move the archive away"
        )
    return open_latency_table(folder, supernet, settings)


def searched_settings(folder: RunFolder) -> SearchSettings | None:
    """Return the settings of the run's search, of whichever kind; None if there was none yet."""
    stages = folder.record["stages"]
    found = stages["search"]["settings"] if "search" in stages else stages.get("standard", {}).get("search")
    return None if found is None else SearchSettings.model_validate(found)


def _calibrated(model: PreTrainedModel, target: LatencyTarget, elastic: bool, seconds: float) -> LatencyTable:
    from ..evaluation.latency.calibration import calibrate
    from ..supernet import Supernet

    return calibrate(Supernet(model), target, elastic_hidden=elastic, seconds=seconds)


def latency_table_path(folder: RunFolder, target: LatencyTarget) -> Path:
    """Return the file of a target's table; one of another machine that has the name already keeps it."""
    path = folder.latency_table(target.name)
    if not path.exists() or LatencyTable.load(path).target.machine == target.machine:
        return path
    machine = re.sub(r"[^A-Za-z0-9]+", "-", target.machine).strip("-")
    return folder.latency_table(f"{target.name}@{machine}")


def latency_table_here(folder: RunFolder, runtime: str | None = None) -> LatencyTable:
    """Load the table of this machine for the target that the run was searched for.

    Args:
        folder: the run.
        runtime: instead of the target's.

    Raises:
        InputError: no such runtime; or there is only another machine's or runtime's table: the message says whose, and
            how to make one.
    """
    import torch

    from ..evaluation.latency.runtimes import RUNTIMES, check_runs

    if runtime is not None and runtime not in RUNTIMES:
        raise unknown_name("runtime", runtime, RUNTIMES)
    table = searched_latency_table(folder)
    there = table.target
    wanted = there
    if runtime not in (None, there.runtime):
        wanted = there.model_copy(update={"runtime": runtime, **RUNTIMES[runtime].restricts})
    here = machine_name("cuda" if wanted.device == "cuda" and torch.cuda.is_available() else "cpu")
    if there == wanted.model_copy(update={"machine": here}):
        return table
    wanted = wanted.model_copy(update={"machine": here})
    check_runs(wanted)
    path = latency_table_path(folder, wanted)
    if path.exists():
        return LatencyTable.load(path)
    options = {
        "threads": wanted.threads,
        "batch-size": wanted.batch_size,
        "sequence-length": wanted.sequence_length,
        "precision": wanted.precision,
        "device": wanted.device,
    }
    options |= {"runtime": wanted.runtime} if wanted.runtime != LatencySettings().runtime else {}
    command = " ".join(f"--{name} {value}" for name, value in options.items())
    problem = f"the latencies in {folder.path} were measured on {there.machine}, this is {here}"
    otherwise = ", or add --as-measured to choose by those"
    if there.runtime != wanted.runtime:
        problem, otherwise = f"{folder.path} has no latency table of {wanted.runtime} on this machine", ""
    raise InputError(f"{problem}; run `secateur latency {folder.path} {command}` here and pick again{otherwise}")


def searched_latency_table(folder: RunFolder) -> LatencyTable:
    """Load the latency table that the run's searches used, or else its pruning, whatever machine this is.

    Raises:
        InputError: nothing was searched or pruned, or the table is gone or damaged.
    """
    stages = folder.record["stages"]
    user = next((name for name in ("search", "standard", "prune") if name in stages), "search")
    folder.settings(user)
    path = folder.latency_table(stages[user]["target"])
    if not path.exists():
        again = "prune" if user == "prune" else "search"
        raise InputError(f"the latency table {path} is gone; run `secateur {again}` again, and it is measured again")
    return LatencyTable.load(path)


def table_of(
    folder: RunFolder, supernet: Supernet, settings: LatencySettings, seconds: float, *, again: bool
) -> LatencyTable:
    """Load the run's table for one way of serving on this machine, or measure it.

    Args:
        folder: the run.
        supernet: gives the sizes.
        settings: the way.
        seconds: about so long it may take.
        again: measure although there is a table.
    """
    target = with_lengths(latency_target(supernet.model.config, settings, prefix="--"), folder)
    path = latency_table_path(folder, target)
    table = LatencyTable.load(path) if path.exists() and not again else None
    if table is not None and table.target == target:
        return table
    if table is not None:
        folder.tell.say(f"{path} belongs to {table.target}; it is measured anew")
    return measure_table(folder, supernet, target, seconds=seconds)
