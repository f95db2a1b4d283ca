"""What several stages need from a run folder: its task, its models, its evaluator."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from ..errors import InputError
from ..evaluation.error import SplitError
from ..evaluation.evaluation import FINETUNED, STANDARD, SUPERNET, SUPERNET_PRUNED, Evaluation
from ..evaluation.evaluator import Evaluator
from ..evaluation.latency import LatencyTable
from ..evaluation.objectives import OBJECTIVES
from ..evaluation.racing import check_racing
from ..search_space import SPACES, SearchSpace
from ..supernet import Supernet
from ..supernet.extraction import extract
from ..supernet.heads import stored_head
from ..supernet.labels import check_labels, head_labels
from ..supernet.precision import resolve_precision
from ..supernet.storage import known_family, load_config, load_model, load_tokenizer
from ..tasks import Columns, Sizes, Task, Windows, demo_model_folder, load_task
from ..tasks.task import Split
from .console import say
from .run_folder import RunFolder, file_digest
from .settings import ProjectSettings, SearchSettings

WHOLE = "whole"  # the method of the fine-tuned model itself, nothing removed
SCALED = "scaled"  # a value of pruned models: 1 if scales are folded into the slices, else 0


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
    labels = head_labels(source, task.kind.head)
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
    other = stored_head(config) if labels is None else None
    dropped = f", whose head for {other} is dropped" if other else ""
    say(f"{project.model} is taken for a {facts['taken_for']} model{dropped}; {describe(task)}")
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
    report = ", ".join(f"{split.examples} {name}" for name, split in task.report.items())
    cut = f"; {task.truncated} texts were longer than the model's positions and are cut" if task.truncated else ""
    return (
        f"{task.name}: {task.train.examples} train, {task.selection.examples} selection, {report} (report split){cut}"
    )


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


def start_model(folder: RunFolder, task: Task) -> PreTrainedModel:
    """Load the model the run began with; a new head is drawn from the run's seed, the same each time."""
    pretrained = folder.record["facts"]["taken_for"] == "pre-trained"
    torch.manual_seed(folder.project.seed)
    names = task.label_names if pretrained else None
    return load_model(model_source(folder.project), head=task.kind.head, label_names=names).float()


def own_weights(folder: RunFolder) -> Path:
    """Return the folder of the models that standard NAS has trained, by key."""
    return folder.path / "standard"


def model_name(evaluation: Evaluation) -> str:
    """Return a folder's name for an evaluated model; no other one's is the same."""
    if evaluation.weights in (SUPERNET, STANDARD):
        return evaluation.key if evaluation.weights == SUPERNET else f"{evaluation.key}-{STANDARD}"
    digest = hashlib.sha256("\n".join(evaluation.model).encode()).hexdigest()[:8]
    density = f"-{evaluation.recipe['density']:g}" if "density" in evaluation.recipe else ""
    return f"{evaluation.method}{density}-{evaluation.weights}-{digest}"


def weights_folder(folder: RunFolder, evaluation: Evaluation) -> Path | None:
    """Return where a model's weights are kept, if they are; None for slices of another model, which need no keeping."""
    sliced = evaluation.weights in (FINETUNED, SUPERNET_PRUNED) and not evaluation.values.get(SCALED)
    if sliced or evaluation.weights == SUPERNET:
        return None
    if evaluation.weights == STANDARD:
        return own_weights(folder) / evaluation.key
    return folder.pruned / model_name(evaluation)


def open_subnet(folder: RunFolder, supernet: Supernet, evaluation: Evaluation) -> PreTrainedModel:
    """Return an evaluated subnetwork as a model of its own, with the weights it was evaluated with.

    Raises:
        InputError: it has weights of its own and they are gone: only those of the front's models are kept.
    """
    path = weights_folder(folder, evaluation)
    if path is None:
        source = load_model(folder.finetuned) if evaluation.weights == FINETUNED else supernet.model
        return extract(source, evaluation.mask).to(supernet.device)  # pyright: ignore[reportArgumentType]
    if not path.is_dir():
        who = "standard NAS keeps" if evaluation.weights == STANDARD else "kept are"
        raise InputError(
            f"the weights of {evaluation.key} are not in {path}; {who} those of the models on a front, "
            f"which `secateur front {folder.path} --weights {evaluation.weights}` lists"
        )
    return load_model(path).to(supernet.device)  # pyright: ignore[reportArgumentType]


def make_space(name: str, supernet: Supernet, *, elastic_hidden: bool) -> SearchSpace:
    """Build a search space by name."""
    return SPACES[name](supernet.shape, elastic_hidden=elastic_hidden)


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
    asked = project.window_length, project.window_stride
    windows = None if asked == (None, None) else Windows(*asked)
    return load_task(
        project.task,
        tokenizer,
        seed=project.seed,
        max_length=max_length,
        data=project.data,
        columns=columns,
        sizes=sizes,
        windows=windows,
        cache=cache,
    )


def model_positions(config: PreTrainedConfig) -> int:
    """Return how many tokens a model can read."""
    positions = int(getattr(config, "max_position_embeddings", 512))
    if known_family(config).positions_from_padding:
        positions -= int(config.pad_token_id or 0) + 1  # positions count from after the padding index
    return positions


def _max_length(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> int:
    return min(model_positions(config), tokenizer.model_max_length)
