"""What several stages need from a run folder: its task, its models, its evaluator."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from ..errors import InputError, unknown_name
from ..evaluation.archive import STANDARD, Evaluation
from ..evaluation.error import SplitError
from ..evaluation.evaluator import Evaluator
from ..evaluation.latency import (
    RUNTIMES,
    LatencyTable,
    LatencyTarget,
    busy,
    calibrate,
    machine_name,
    padded_lengths,
)
from ..evaluation.latency.target import TASK
from ..evaluation.objectives import OBJECTIVES
from ..evaluation.racing import check_racing
from ..search_space import SPACES, SearchSpace
from ..supernet import Supernet
from ..supernet.extraction import extract
from ..supernet.families import family_of
from ..supernet.finetuning import check_labels, head_labels
from ..supernet.precision import resolve_precision
from ..supernet.storage import load_config, load_model, load_tokenizer
from ..tasks import Columns, Sizes, Task, demo_model_folder, load_task
from ..tasks.task import Split
from .console import progress, say
from .run_folder import RunFolder, file_digest
from .settings import LatencySettings, ProjectSettings, SearchSettings

OnMachine = Callable[..., Any]


def here(function: Callable[..., Any], *arguments: object) -> Any:
    """Call a function in this process."""
    return function(*arguments)


def model_source(project: ProjectSettings) -> str | Path:
    """Return the folder or hub name of a project's model."""
    return demo_model_folder() if project.model == "demo" else project.model


def open_project(project: ProjectSettings) -> tuple[RunFolder, Task]:
    """Check a project's model and data, and make or open its run folder.

    Raises:
        InputError: a model or data that cannot be used, or a folder of another run.
    """
    source = model_source(project)
    config = load_config(source)
    tokenizer = load_tokenizer(source)
    task = _load_task(project, tokenizer, _max_length(config, tokenizer), cache=None)
    labels = head_labels(source)
    if labels is not None:
        check_labels(config, task)
    weights = Path(source) / "model.safetensors"
    facts = {
        "taken_for": "pre-trained" if labels is None else "fine-tuned",
        "weights": file_digest(weights) if weights.is_file() else None,
        "data": task.fingerprint,
        "metric": task.metric.name,
    }
    folder = RunFolder.create(project, facts)
    say(f"{project.model} is taken for a {facts['taken_for']} model; {describe(task)}")
    return folder, task


def open_task(folder: RunFolder) -> Task:
    """Load the task of a run, tokenised as before.

    Raises:
        InputError: the data have changed since the run began.
    """
    source = folder.finetuned if folder.finetuned.is_dir() else model_source(folder.project)
    tokenizer = load_tokenizer(source)
    task = _load_task(
        folder.project, tokenizer, _max_length(load_config(source), tokenizer), cache=folder.path / "tokens"
    )
    if task.fingerprint != folder.record["facts"]["data"]:
        raise InputError(
            f"the data or the tokenizer of {folder.path} have changed since the run began; restore them, or choose "
            "another --out"
        )
    return task


def describe(task: Task) -> str:
    """Say what a task is made of."""
    report = ", ".join(f"{len(split)} {name}" for name, split in task.report.items())
    cut = f"; {task.truncated} texts were longer than the model's positions and are cut" if task.truncated else ""
    return f"{task.name}: {len(task.train)} train, {len(task.selection)} selection, {report} (report split){cut}"


def open_supernet(folder: RunFolder) -> tuple[Supernet, SearchSpace]:
    """Load the trained supernet and the space it was trained for.

    Raises:
        InputError: the stage has not been run, or its checkpoint is damaged.
    """
    settings = folder.settings("supernet")
    if not folder.complete("supernet"):
        raise InputError(f"the supernet of {folder.path} is not trained to the end; run `secateur supernet` again")
    supernet = on_device(load_supernet(folder.supernet))
    return supernet, make_space(settings["space"], supernet, elastic_hidden=settings["elastic_hidden"])


def load_supernet(path: Path) -> Supernet:
    """Load a model that a stage has written into the run folder.

    Raises:
        InputError: it is damaged.
    """
    try:
        return Supernet(load_model(path))
    except InputError as error:
        raise InputError(
            f"{error}; or delete {path}, and the same `secateur run` makes it again, the same from the same seed"
        ) from error


def on_device(supernet: Supernet) -> Supernet:
    """Move a supernet to where evaluations are fastest."""
    supernet.model.to("cuda" if torch.cuda.is_available() else "cpu")  # pyright: ignore[reportArgumentType]
    return supernet


def own_weights(folder: RunFolder) -> Path:
    """Return the folder of the models that standard NAS has trained, by key."""
    return folder.path / "standard"


def open_subnet(folder: RunFolder, supernet: Supernet, evaluation: Evaluation) -> PreTrainedModel:
    """Return an evaluated subnetwork as a model of its own, with the weights it was evaluated with.

    Raises:
        InputError: it has weights of its own and they are gone: only those of the front's models are kept.
    """
    if evaluation.weights != STANDARD:
        return extract(supernet.model, evaluation.mask)
    path = own_weights(folder) / evaluation.key
    if not path.is_dir():
        raise InputError(
            f"the weights of {evaluation.key} are not in {path}; standard NAS keeps those of the models on a front, "
            f"which `secateur front {folder.path} --weights standard` lists"
        )
    return load_model(path).to(supernet.device)  # pyright: ignore[reportArgumentType]


def make_space(name: str, supernet: Supernet, *, elastic_hidden: bool) -> SearchSpace:
    """Build a search space by name."""
    return SPACES[name](supernet.shape, elastic_hidden=elastic_hidden)


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
        InputError: texts longer than the model's positions, no such device here, or no such runtime.
    """
    if settings.runtime not in RUNTIMES:
        raise unknown_name("runtime", settings.runtime, RUNTIMES)
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise InputError(f"{prefix}device is cuda, but PyTorch finds no CUDA device here; give cpu")
    auto = "cuda" if torch.cuda.is_available() else "cpu"
    device = auto if settings.device == "auto" else settings.device
    positions = model_positions(config)
    length = settings.sequence_length or str(min(128, positions))
    if length != TASK and int(length) > positions:
        raise InputError(
            f"{prefix}sequence-length is {length}, but the model has {positions} positions; give at most that"
        )
    return LatencyTarget(
        machine=machine_name(device),
        device=device,
        threads=settings.threads or torch.get_num_threads(),
        batch_size=settings.batch_size,
        sequence_length=TASK if length == TASK else int(length),
        precision=settings.precision,
        runtime=settings.runtime,
    )


def with_lengths(target: LatencyTarget, folder: RunFolder) -> LatencyTarget:
    """Complete a target whose lengths are the task's with those of the run's selection split."""
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
    if path.exists():
        table = LatencyTable.load(path)
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
    elastic = folder.settings("supernet")["elastic_hidden"]
    with folder.writing():
        if on_machine is here:
            with progress("latency table") as tick:
                table = calibrate(supernet, target, elastic_hidden=elastic, seconds=seconds, report=tick)
        else:
            say(f"latency table: measuring on {target.machine}")
            table = on_machine(_calibrated, supernet.model, target, elastic, seconds)
        table.save(latency_table_path(folder, target))
    say(f"latency table for {target}: median error {table.error:.1%} on networks it was not fitted on")
    warning = table.accuracy and busy(table.accuracy.spread)
    if warning:
        say(f"warning: {warning}")
    return table


def _calibrated(model: PreTrainedModel, target: LatencyTarget, elastic: bool, seconds: float) -> LatencyTable:
    return calibrate(Supernet(model), target, elastic_hidden=elastic, seconds=seconds)


def latency_table_path(folder: RunFolder, target: LatencyTarget) -> Path:
    """Return the file of a target's table; one of another machine that has the name already keeps it."""
    path = folder.latency_table(target.name)
    if not path.exists() or LatencyTable.load(path).target.machine == target.machine:
        return path
    machine = re.sub(r"[^A-Za-z0-9]+", "-", target.machine).strip("-")
    return folder.latency_table(f"{target.name}@{machine}")


def latency_table_here(folder: RunFolder) -> LatencyTable:
    """Load the table of this machine for the target that the run was searched for.

    Raises:
        InputError: there is only another machine's; the message says whose, and how to make one here.
    """
    table = searched_latency_table(folder)
    there = table.target
    here = machine_name("cuda" if there.device == "cuda" and torch.cuda.is_available() else "cpu")
    if there.machine == here:
        return table
    path = latency_table_path(folder, there.model_copy(update={"machine": here}))
    if path.exists():
        return LatencyTable.load(path)
    options = {
        "threads": there.threads,
        "batch-size": there.batch_size,
        "sequence-length": there.sequence_length,
        "precision": there.precision,
        "device": there.device,
    }
    command = " ".join(f"--{name} {value}" for name, value in options.items())
    raise InputError(
        f"the latencies in {folder.path} were measured on {there.machine}, this is {here}; run `secateur latency "
        f"{folder.path} {command}` here and pick again, or add --as-measured to choose by those"
    )


def searched_latency_table(folder: RunFolder) -> LatencyTable:
    """Load the latency table that the run's searches used, whatever machine this is.

    Raises:
        InputError: nothing was searched, or the table is gone or damaged.
    """
    stages = folder.record["stages"]
    if "standard" not in stages:
        folder.settings("search")
    path = folder.latency_table(stages.get("search", stages.get("standard"))["target"])
    if not path.exists():
        raise InputError(f"the latency table {path} is gone; run `secateur search` again, and it is measured again")
    return LatencyTable.load(path)


def make_evaluator(
    supernet: Supernet,
    task: Task,
    splits: dict[str, Split],
    table: LatencyTable,
    settings: SearchSettings,
    known: dict[str, dict[str, float]],
    *,
    racing: bool = False,
) -> Evaluator:
    """Build an evaluator of the error on some splits and all other objectives.

    Only a search may be `racing`, on one split: what cannot reach a front is stopped.

    Raises:
        InputError: racing with a metric that it has no bound for.
    """
    if racing:
        check_racing(task.metric, task.num_labels)
    errors = split_errors(supernet, task, splits, settings)
    return Evaluator(errors, [make(supernet, table) for make in OBJECTIVES.values()], known=known, racing=racing)


def split_errors(
    supernet: Supernet, task: Task, splits: dict[str, Split], settings: SearchSettings
) -> dict[str, SplitError]:
    """Make splits ready for passes of a supernet's subnetworks."""
    dtype = resolve_precision(settings.precision, supernet.device)
    return {
        name: SplitError(
            supernet,
            split,
            task.metric,
            pad_token_id=task.pad_token_id,
            dtype=dtype,
            prefix_bytes=settings.prefix_mb * 2**20 // len(splits),
        )
        for name, split in splits.items()
    }


def _load_task(
    project: ProjectSettings, tokenizer: PreTrainedTokenizerBase, max_length: int, cache: Path | None
) -> Task:
    columns = Columns(
        text=project.text_column,
        pair=project.text_pair_column,
        label=project.label_column,
        kind=project.kind,
        metric=project.metric,
    )
    sizes = Sizes(project.train_limit, project.selection_fraction, project.selection_limit)
    return load_task(
        project.task,
        tokenizer,
        seed=project.seed,
        max_length=max_length,
        data=project.data,
        columns=columns,
        sizes=sizes,
        cache=cache,
    )


def model_positions(config: PreTrainedConfig) -> int:
    """Return how many tokens a model can read."""
    positions = int(getattr(config, "max_position_embeddings", 512))
    if family_of(config).positions_from_padding:
        positions -= int(config.pad_token_id or 0) + 1  # positions count from after the padding index
    return positions


def _max_length(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> int:
    return min(model_positions(config), tokenizer.model_max_length)
