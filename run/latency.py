"""The latency tables of a run: which target is meant, the table that is there, or a new one."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, unknown_name
from ..evaluation.latency.table import LatencyTable
from ..evaluation.latency.target import TASK, TORCH, LatencyTarget, busy, machine_name, padded_lengths
from .archives import no_archive
from .basis import Basis
from .folder import RunFolder
from .settings.latency import LatencySettings
from .telling import call_of

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

    from ..supernet import Supernet

OnMachine = Callable[..., Any]
SECONDS = "SECATEUR_LATENCY_SECONDS"


def here(function: Callable[..., Any], *arguments: object) -> Any:
    """Call a function in this process."""
    return function(*arguments)


def latency_target(config: PreTrainedConfig, settings: LatencySettings) -> LatencyTarget:
    """Complete the latency settings with this machine and with the positions of the model of this configuration.

    A task's lengths are left open, for that its data must be read.

    Args:
        config: the model's.
        settings: what was asked for.

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
        raise InputError("`device` is cuda, but PyTorch finds no CUDA device here; give cpu")
    auto = "cuda" if torch.cuda.is_available() and not RUNTIMES[settings.runtime].engine else "cpu"
    device = auto if settings.device == "auto" else settings.device
    positions = model_positions(config)
    length = settings.sequence_length or str(min(128, positions))
    if length != TASK and int(length) > positions:
        raise InputError(f"`sequence_length` is {length}, but the model has {positions} positions; give at most that")
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
    folder: RunFolder, supernet: Supernet, target: LatencyTarget, on_machine: OnMachine = here
) -> LatencyTable:
    """Load the run's latency table for a target, or measure it.

    Args:
        folder: the run.
        supernet: gives the sizes.
        target: how models are served.
        on_machine: calls a function with arguments on the machine whose latency counts.

    Raises:
        InputError: the table there was measured on another machine.
    """
    target = with_lengths(target, folder)
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
    seconds: float | None = None,
    on_machine: OnMachine = here,
) -> LatencyTable:
    """Calibrate a table for a target of this machine, or of another; store it, and say how good it is.

    Args:
        folder: the run.
        supernet: gives the sizes.
        target: how models are served.
        seconds: about so long it may take; as the environment says, or else 50, if None.
        on_machine: calls a function with arguments on the machine whose latency counts.
    """
    from ..evaluation.latency.calibration import calibrate

    seconds = _usual_seconds() if seconds is None else seconds
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


def _usual_seconds() -> float:
    told = os.environ.get(SECONDS, "50")
    try:
        if math.isfinite(seconds := float(told)) and seconds > 0:
            return seconds
    except ValueError:
        pass
    raise InputError(f"the environment's {SECONDS} says how long a latency table may take, got {told!r}; give seconds")


def _elastic_hidden(folder: RunFolder) -> bool:
    """Tell whether the run's subnetworks may have other widths; what is only pruned has not."""
    return "supernet" in folder.record["stages"] and folder.settings("supernet")["elastic_hidden"]


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
        "batch_size": wanted.batch_size,
        "sequence_length": wanted.sequence_length,
        "precision": wanted.precision,
        "device": wanted.device,
    }
    options |= {} if wanted.runtime == TORCH else {"runtime": wanted.runtime}
    command = call_of(folder.path, "latency", **options)
    problem = f"the latencies in {folder.path} were measured on {there.machine}, this is {here}"
    otherwise = ", or add `as_measured` to choose by those"
    if there.runtime != wanted.runtime:
        problem, otherwise = f"{folder.path} has no latency table of {wanted.runtime} on this machine", ""
    raise InputError(f"{problem}; run {command} here and pick again{otherwise}")


def searched_latency_table(folder: RunFolder) -> LatencyTable:
    """Load the latency table that the archive's latencies are of, whatever machine this is.

    Raises:
        InputError: there are none, or the table is gone or damaged.
    """
    basis = Basis.of(folder)
    if basis is None:
        raise no_archive(folder)
    path = folder.latency_table(basis.target)
    if not path.exists():
        raise InputError(f"the latency table {path} is gone; search or prune again, and it is measured again")
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
    target = with_lengths(latency_target(supernet.model.config, settings), folder)
    path = latency_table_path(folder, target)
    table = LatencyTable.load(path) if path.exists() and not again else None
    if table is not None and table.target == target:
        return table
    if table is not None:
        folder.tell.say(f"{path} belongs to {table.target}; it is measured anew")
    return measure_table(folder, supernet, target, seconds=seconds)
