"""What several stages need from a run folder: its task, its models, its evaluator."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..errors import InputError
from ..search_space import SPACES, SearchSpace
from ..supernet import Supernet
from ..supernet.blocks import blocks
from ..supernet.families import family_of
from ..supernet.heads import stored_head
from ..supernet.solved import PRODUCTS, SolvedSupernet, load_products
from ..supernet.stored.fit import check_texts, check_tokenizer
from ..supernet.stored.labels import check_labels, class_names, head_labels
from ..supernet.stored.storage import load_config, load_model, load_sentence_head, load_tokenizer, model_positions
from ..tasks import OF_CLASSES, Columns, Sizes, Task, Teaching, Unlabelled, Windows, demo_model_folder, load_task
from ..tasks.class_order import in_order_of
from ..tasks.unlabelled import with_answers_of
from .answering import answers_of, answers_path, keep_answers, kept_answers, with_answers
from .data_facts import collect
from .folder import RunFolder, file_digest
from .given_data import with_data
from .settings.project import ProjectSettings
from .telling import SILENT, Teller
from .vectors import keep_vectors, labelled, vectors_of, with_vectors

EMBEDDING = "embedding"  # the name of the task of vectors
OWN = "own"  # the name of a task that was handed in
_OF_CLASSES = ("classification", "multilabel", "token-classification")
_NAMED = 12  # classes, of more the first


def model_source(project: ProjectSettings) -> str | Path:
    """Return the folder or hub name of a project's model."""
    return demo_model_folder() if project.model == "demo" else project.model


def open_project(project: ProjectSettings, tell: Teller = SILENT, own: Task | None = None) -> tuple[RunFolder, Task]:
    """Check a project's model and data, and make or open its run folder.

    Args:
        project: what it is about.
        tell: told by all jobs on the folder.
        own: the task, if it is of the user's own making.

    Raises:
        InputError: a model or data that cannot be used, or a folder of another run.
    """
    project = with_data(_remembered(project))
    source = model_source(project)
    config = load_config(source)
    tokenizer = load_tokenizer(source)
    check_tokenizer(config, tokenizer)
    alone = answers_of(project, source, config, own) if project.labels else None
    task = own or _load_task(project, source, tokenizer, None, alone)
    labels = head_labels(source, task.kind.head)
    if labels is not None:
        task = in_order_of(task, class_names(config))
        check_labels(config, task)
    if not (project.out / "run.json").is_file():
        check_texts(config, task)
        # Weights that do not fit, or are no numbers, are said before there is a folder.
        load_model(source, head=task.kind.head, label_names=task.label_names if labels is None else None)
    there = (project.out / "run.json").is_file()
    task = with_vectors(task, lambda: _whole(source), _vectors(project.out, task) if there else None, tell)
    weights = Path(source) / "model.safetensors"
    digest = file_digest(weights) if weights.is_file() else None
    answers = answers_path(project.out, task, digest) if project.labels else None
    if answers is not None:
        task = kept_answers(answers, task) or _answered(task, source, tell)
    facts = {
        "taken_for": "pre-trained" if labels is None else "fine-tuned",
        "weights": digest,
        "data": task.fingerprint,
        # Of local files the class that F1 is of is part of what is measured; of published tasks it is known.
        "metric": task.metric_title if project.task in OF_CLASSES or task.answered else task.metric.name,
    }
    shape = family_of(config).shape(config)
    folder = RunFolder.create(project, facts, collect(task, shape), tell)
    folder.own_task = own
    if answers is not None and not answers.is_file():
        keep_answers(answers, task)
    if task.kind.head == "embedding" and not (path := _vectors(folder.path, task)).is_file():
        keep_vectors(vectors_of(task), path)
    other = stored_head(config) if labels is None else None
    dropped = f", whose head for {other} is dropped" if other else ""
    folder.tell.say(f"{project.model} is taken for a {facts['taken_for']} model{dropped}; {describe(task)}")
    return folder, task


def _remembered(project: ProjectSettings) -> ProjectSettings:
    """Return what a project is about, with what is not given as the run that is there has it."""
    given = project.model_dump(include=set(ProjectSettings.model_fields), exclude_unset=True)
    there = RunFolder.open(project.out).record["project"] if (project.out / "run.json").is_file() else {}
    return ProjectSettings.model_validate({**there, **given})


def open_task(folder: RunFolder) -> Task:
    """Load the task of a run, tokenised as before.

    Raises:
        InputError: the data have changed since the run began.
    """
    if folder.project.task == OWN:
        if folder.own_task is None:
            raise InputError(f"{folder.path} is about a task of its user's making; hand it in: Run(path, task=...)")
        task = folder.own_task
    else:
        source = source_of(folder)
        alone = _alone(folder, source)
        task = _load_task(folder.project, source, load_tokenizer(source), folder.path / "tokens", alone)
    task = _in_order(folder, task)
    if task.fingerprint != folder.record["facts"]["data"]:
        raise InputError(
            f"the data or the tokenizer of {folder.path} have changed since the run began; restore them, or choose "
            "another `out`"
        )
    if folder.project.labels:
        return _with_kept_answers(folder, task)
    return with_vectors(task, lambda: _whole(source_of(folder)), _vectors(folder.path, task), folder.tell)


def _alone(folder: RunFolder, source: str | Path) -> Unlabelled | None:
    """Return what a run's model says of its answers, where these stand in for labels."""
    return answers_of(folder.project, source, load_config(source)) if folder.project.labels else None


def _with_kept_answers(folder: RunFolder, task: Task) -> Task:
    """Return a run's task with the answers of the model that it began with, asked again if they are gone."""
    path = answers_path(folder.path, task, folder.record["facts"]["weights"])
    found = kept_answers(path, task)
    if found is None:
        found = _answered(task, model_source(folder.project), folder.tell)
        keep_answers(path, found)
    return found


def _answered(task: Task, source: str | Path, tell: Teller) -> Task:
    model = load_model(source, head=task.kind.head).float().eval().to(device())  # pyright: ignore[reportArgumentType]
    return with_answers(task, model, tell)


def respelled_task(folder: RunFolder, tokenizer: PreTrainedTokenizerBase) -> Task:
    """Load the task of a run in the tokens of another tokenizer: the same texts, in the same splits.

    Raises:
        InputError: a task of its user's making, of which there are no texts.
    """
    if folder.project.task == OWN:
        raise InputError(
            f"{folder.path} is about a task of its user's making, which has tokens, but no texts to spell with others; "
            "write the texts to a file, and give that and the exported model to `secateur vocabulary`"
        )
    source = source_of(folder)
    alone = _alone(folder, source)
    task = _in_order(folder, _load_task(folder.project, source, tokenizer, None, alone))
    if alone is not None:
        return with_answers_of(open_task(folder), task)
    return labelled(task, vectors_of(open_task(folder))) if task.kind.head == "embedding" else task


def _in_order(folder: RunFolder, task: Task) -> Task:
    """Return a run's task with its classes in the order of a model that was fine-tuned before."""
    if folder.record["facts"]["taken_for"] != "fine-tuned":
        return task
    return in_order_of(task, class_names(load_config(source_of(folder))))


def source_of(folder: RunFolder) -> str | Path:
    """Return the folder or hub name of a run's model: the fine-tuned one's if it is there."""
    return folder.finetuned if folder.finetuned.is_dir() else model_source(folder.project)


def describe(task: Task) -> str:
    """Say what a task is, what it is judged by, and what it is made of."""
    report = ", ".join(f"{split.examples} {name}" for name, split in task.report.items())
    cut = f"; {task.truncated} texts were longer than the model's positions and are cut" if task.truncated else ""
    alike = f"; {task.likeness}" if task.likeness else ""
    names = ", ".join(task.label_names[:_NAMED]) + (", ..." if task.num_labels > _NAMED else "")
    classes = f" of {task.num_labels} classes ({names})" if task.kind.name in _OF_CLASSES else ""
    weights = "; classes count alike in the loss of labels" if task.kind.class_weights else ""
    own = "; labels teach by a loss of your own" if task.kind.own_loss else ""
    return (
        f"{task.name}: {task.kind.name}{classes}, judged by {task.metric_title}{weights}{own}; "
        f"{task.train.examples} train, {task.selection.examples} selection, {report} "
        f"(report split: {task.report_origin}){cut}{alike}"
    )


def open_supernet(folder: RunFolder) -> tuple[Supernet, SearchSpace]:
    """Load the trained supernet and the space it was trained for.

    Raises:
        InputError: the stage has not been run, or its checkpoint is damaged.
    """
    settings = folder.settings("supernet")
    folder.check_complete("supernet")
    supernet = on_device(load_supernet(folder.supernet))
    return supernet, make_space(settings["space"], supernet, elastic_hidden=settings["elastic_hidden"])


def open_encoder(folder: RunFolder) -> Supernet:
    """Load the trained supernet of a run, or its fine-tuned model where no supernet was trained.

    Raises:
        InputError: nothing was fine-tuned, a supernet is not trained to the end or is gone, or a damaged checkpoint.
    """
    if "supernet" in folder.record["stages"]:
        return open_supernet(folder)[0]
    folder.check_complete("finetune")
    return on_device(load_supernet(folder.finetuned))


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


def load_solved(path: Path, device: torch.device) -> SolvedSupernet:
    """Load the fine-tuned model that solved weights are cut from.

    Raises:
        InputError: it is not there, or damaged.
    """
    net = load_supernet(path)
    net.model.to(device)  # pyright: ignore[reportArgumentType]
    names = [block.outgoing for block in blocks(net.architecture)]
    return SolvedSupernet(net.model, load_products(path / PRODUCTS, names, device))


def on_device(supernet: Supernet) -> Supernet:
    """Move a supernet to where evaluations are fastest."""
    supernet.model.to(device())  # pyright: ignore[reportArgumentType]
    return supernet


def device() -> torch.device:
    """Return where evaluations are fastest."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def start_model(folder: RunFolder, task: Task) -> PreTrainedModel:
    """Load the model the run began with; a new head is drawn from the run's seed, the same each time.

    Whatever its configuration said of its outputs, it says what they mean in this task.
    """
    pretrained = folder.record["facts"]["taken_for"] == "pre-trained"
    torch.manual_seed(folder.project.seed)
    names = task.label_names if pretrained else None
    model = load_model(model_source(folder.project), head=task.kind.head, label_names=names).float()
    model.config.problem_type = task.kind.problem_type
    return model


def make_space(name: str, supernet: Supernet, *, elastic_hidden: bool) -> SearchSpace:
    """Build a search space by name, for a supernet's order of layers."""
    return SPACES[name](supernet.shape, elastic_hidden=elastic_hidden, layer_order=supernet.layer_order)


def _whole(source: str | Path) -> PreTrainedModel:
    """Load the model that makes the vectors, where it is fastest."""
    return load_model(source, head="embedding").float().to(device())  # pyright: ignore[reportArgumentType]


def _vectors(path: Path, task: Task) -> Path:
    """Return the file of the whole model's vectors in a run folder; of a task of the user's own, too."""
    return path / "tokens" / f"vectors-{task.fingerprint}.npz"


def _load_task(
    project: ProjectSettings,
    source: str | Path,
    tokenizer: PreTrainedTokenizerBase,
    cache: Path | None,
    unlabelled: Unlabelled | None,
) -> Task:
    """Load a task in the tokens of a tokenizer, as long as the model reads them and behind the prompts it wants."""
    head = load_sentence_head(source) if project.task == EMBEDDING else None
    longest = min(model_positions(load_config(source)), tokenizer.model_max_length)
    if head is not None and head.most_tokens is not None:
        longest = min(longest, head.most_tokens)
    columns = Columns(
        text=project.text_column,
        pair=project.text_pair_column,
        label=project.label_column,
        group=project.group_column,
        kind=project.kind,
        metric=project.metric,
        positive=project.positive,
        unlabelled=unlabelled,
        precision=project.precision_floor,
    )
    sizes = Sizes(project.train_limit, project.selection_fraction, project.selection_limit)
    asked = project.window_length, project.window_stride
    windows = None if asked == (None, None) else Windows(*asked)
    return load_task(
        project.task,
        tokenizer,
        seed=project.seed,
        max_length=longest,
        data=project.data,
        columns=columns,
        sizes=sizes,
        windows=windows,
        cache=cache,
        teaching=Teaching(project.loss, project.class_weights, project.ranking_loss == "listwise"),
        prompts=None if head is None else head.prompts,
    )
