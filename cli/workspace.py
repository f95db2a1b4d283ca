"""What several stages need from a run folder: its task, its models, its evaluator."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from ..errors import InputError
from ..evaluation.error import SplitError
from ..evaluation.evaluator import Evaluator
from ..evaluation.latency import LatencyTable, LatencyTarget, calibrate, machine_name
from ..evaluation.objectives import OBJECTIVES
from ..search_space import SPACES, SearchSpace
from ..supernet import Supernet
from ..supernet.families import family_of
from ..supernet.finetuning import check_labels, head_labels
from ..supernet.precision import resolve_precision
from ..supernet.storage import load_config, load_model, load_tokenizer
from ..tasks import Columns, Sizes, Task, demo_model_folder, load_task
from ..tasks.task import Split
from .console import progress, say
from .run_folder import RunFolder, file_digest
from .settings import LatencySettings, ProjectSettings, SearchSettings


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
    supernet = load_supernet(folder.supernet)
    supernet.model.to("cuda" if torch.cuda.is_available() else "cpu")  # pyright: ignore[reportArgumentType]
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


def make_space(name: str, supernet: Supernet, *, elastic_hidden: bool) -> SearchSpace:
    """Build a search space by name."""
    return SPACES[name](supernet.shape, elastic_hidden=elastic_hidden)


def latency_target(config: PreTrainedConfig, settings: LatencySettings) -> LatencyTarget:
    """Complete the latency settings with this machine and with the positions of the model of this configuration.

    Raises:
        InputError: texts longer than the model's positions.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    positions = model_positions(config)
    length = settings.sequence_length or min(128, positions)
    if length > positions:
        raise InputError(
            f"--search-latency-sequence-length is {length}, but the model has {positions} positions; give at most that"
        )
    return LatencyTarget(
        machine=machine_name(device),
        device=device,
        threads=settings.threads or torch.get_num_threads(),
        batch_size=settings.batch_size,
        sequence_length=length,
        precision=settings.precision,
    )


def open_latency_table(folder: RunFolder, supernet: Supernet, settings: LatencySettings) -> LatencyTable:
    """Load the run's latency table for a target, or measure it.

    Raises:
        InputError: the table there was measured on another machine.
    """
    target = latency_target(supernet.model.config, settings)
    path = folder.latency_table(target.name)
    if path.exists():
        table = LatencyTable.load(path)
        if table.target != target:
            raise InputError(
                f"the latency table {path} belongs to {table.target}, this is {target}; delete it to measure here, or "
                "go back to that machine"
            )
        return table
    elastic = folder.settings("supernet")["elastic_hidden"]
    with progress("latency table") as tick:
        table = calibrate(supernet, target, elastic_hidden=elastic, report=tick)
    table.save(path)
    say(f"latency table for {target}: median error {table.error:.1%} on networks it was not fitted on")
    return table


def searched_latency_table(folder: RunFolder) -> LatencyTable:
    """Load the latency table that the run's search used, whatever machine this is.

    Raises:
        InputError: nothing was searched, or the table is gone or damaged.
    """
    folder.settings("search")
    path = folder.latency_table(folder.record["stages"]["search"]["target"])
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
) -> Evaluator:
    """Build an evaluator of the error on some splits and all other objectives."""
    dtype = resolve_precision(settings.precision, supernet.device)
    errors = {
        name: SplitError(supernet, split, task.metric, pad_token_id=task.pad_token_id, dtype=dtype)
        for name, split in splits.items()
    }
    return Evaluator(errors, [make(supernet, table) for make in OBJECTIVES.values()], known=known)


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
