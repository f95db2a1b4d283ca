"""A model of a run as a checkpoint with its card."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...evaluation.archive import Archive
from ...evaluation.evaluation import REPORT, Evaluation
from ...evaluation.objectives import ERROR
from ...evaluation.weights import Weights
from ...search_space import SubnetMask
from ...supernet import Supernet
from ...supernet.shipping.checkpoint import write_checkpoint
from ...supernet.shipping.hub import check_hub, check_name, licence_of, push_to_hub
from ...supernet.shipping.model_card import CardFacts
from ...supernet.shipping.vocabulary import VOCABULARY
from ...supernet.stored.record import PICTURE, Form, Written, read_record
from ...supernet.stored.storage import load_tokenizer
from ...supernet.training.settings import SupernetSettings
from ...tasks import Task
from ...tasks.demo_model import DEMO_LICENCE, DEMO_NAME
from ...tasks.kinds import Head
from ..choice.front import open_archive
from ..choice.pick import chosen_model
from ..constant import constant_note
from ..folder import RunFolder
from ..latency import searched_latency_table
from ..model import evaluations_of, model_name, on_report, open_subnet, whole_evaluation
from ..project import open_encoder
from ..recipes import can_refit
from ..scores import report_errors
from ..settings.choice import ModelChoice
from ..settings.ship import ExtractSettings
from ..vocabulary import CutVocabulary, Vocabularies
from .refit import refit_line, refitted
from .thresholds import as_served, needs_thresholds, threshold_section


@dataclass(frozen=True)
class Extracted:
    """A checkpoint that was written.

    Attributes:
        folder: where it is.
        key: the model's.
        form: which kind of checkpoint it is.
        head: what it is for.
        address: where it was uploaded to; None if it was not.
        note: says that it is no better than a constant answer; None if it is.
    """

    folder: Path
    key: str
    form: Written
    head: Head
    address: str | None
    note: str | None = None


def extract(folder: RunFolder, settings: ExtractSettings, *, again: bool = True) -> Extracted:
    """Write a model of a run, given by its key or by budgets as in `pick`, as a checkpoint.

    One that is there is written anew, unless `again` is False.

    Raises:
        InputError: no such model, a folder that holds something else, or no way to the hub.
    """
    if settings.push is not None:
        check_name(settings.push)
        check_hub()
    with open_archive(folder) as archive:
        selection, report = chosen_evaluations(folder, archive, settings)
        supernet = open_encoder(folder)
        kind = None if selection.weights.one_per_mask else Weights.FINETUNED
        whole = whole_evaluation(archive, SubnetMask.full(supernet.shape).key, REPORT, kind)
    to = settings.to or default_folder(folder, selection)
    if not again and (there := read_record(to)) is not None:
        return Extracted(
            to, selection.key, there.form, supernet.head, None, constant_note(folder, *errors_of(selection, report))
        )
    # A stage that begins tidies the run folder up, half-written models included.
    with folder.writing() if settings.to is None else nullcontext():
        model, mask = open_subnet(folder, supernet, selection), selection.mask
        vocabularies = Vocabularies(folder)
        facts = card_facts(folder, supernet, model, selection, report, whole, settings.push or to.name)
        if settings.refit and can_refit(selection):
            task = vocabularies.uncut_task(mask.tokens)
            model, facts = _refitted(folder, supernet, task, model.float(), selection, facts)
        if needs_thresholds(supernet.model.config):
            facts = _thresholded(vocabularies.uncut_task(mask.tokens), model, facts)
        if mask.tokens is not None:
            vocabulary, model = vocabularies.of(mask.tokens), vocabularies.cut(model, mask)
            facts = in_vocabulary(facts, model, vocabulary)
        form = save(folder, model, to, facts, settings.form, vocabularies.tokenizer(mask.tokens))
    address = None if settings.push is None else push_to_hub(to, settings.push, private=settings.private)
    return Extracted(to, selection.key, form, supernet.head, address, facts.constant)


def chosen_evaluations(
    folder: RunFolder, archive: Archive, settings: ModelChoice, runtime: str | None = None
) -> tuple[Evaluation, Evaluation | None]:
    """Return what a key or budgets name, as it was evaluated on the selection and, if it was, the report split."""
    if settings.key is not None:
        return evaluations_of(archive, settings.key, settings.weights, method=settings.method, density=settings.density)
    chosen = chosen_model(folder, archive, settings, runtime=runtime, weights=settings.weights, gate=settings.gate)
    return chosen, on_report(archive, chosen)


def errors_of(selection: Evaluation, report: Evaluation | None) -> tuple[float, float | None]:
    """Return a model's errors on both splits."""
    return selection.values[ERROR], None if report is None else report.values[ERROR]


def default_folder(folder: RunFolder, selection: Evaluation) -> Path:
    """Return where an extracted model goes if nothing else is said."""
    return folder.path / "subnets" / model_name(selection)


def _refitted(
    folder: RunFolder,
    supernet: Supernet,
    task: Task,
    model: PreTrainedModel,
    selection: Evaluation,
    facts: CardFacts,
) -> tuple[PreTrainedModel, CardFacts]:
    """Return a model after a refit, where the selection split says so, and what its card says."""
    done = refitted(folder, task, supernet, model, selection)
    sections = {"Refit": refit_line(facts.metric, done)}
    if not done.kept:
        return model, replace(facts, sections=sections)
    error = report_errors(done.model, task)[ERROR]
    note = constant_note(folder, done.after, error)
    scores = {"selection": 1 - done.after, "report": {"report": 1 - error}, "constant": note}
    return done.model, replace(facts, **scores, sections=sections)


def _thresholded(task: Task, model: PreTrainedModel, facts: CardFacts) -> CardFacts:
    """Choose a model's thresholds, and return what its card says with them."""
    score = 1 - report_errors(model, as_served(model, task))[ERROR]
    line = f"Scores are at 0.5 for all labels; at these thresholds {facts.metric} on the report split is {score:.4f}."
    return replace(facts, sections={**facts.sections, **threshold_section(model, task, line)})


def card_facts(
    folder: RunFolder,
    supernet: Supernet,
    model: PreTrainedModel,
    selection: Evaluation,
    report: Evaluation | None,
    whole: Evaluation | None,
    name: str,
) -> CardFacts:
    """Collect what the card of an extracted model says.

    Args:
        folder: the run.
        supernet: where it was cut from.
        model: what was cut out.
        selection: its evaluation on the selection split.
        report: on the report split, if it was scored there.
        whole: the whole network's evaluation on the report split, if known.
        name: the model's.
    """
    latency = None if report is None else report.values.get("latency_ms")
    conditions = _conditions(folder) if latency is not None else ""
    trained, origin = _training(folder, selection), _origin(folder)
    return CardFacts(
        name=name,
        head=supernet.head,
        parent=origin,
        mask=selection.mask,
        shape=supernet.shape,
        parameters=sum(p.numel() for p in model.parameters()),
        parent_parameters=sum(p.numel() for p in supernet.model.parameters()),
        task=folder.project.task,
        metric=folder.record["facts"]["metric"],
        selection=1 - selection.values[ERROR],
        report={} if report is None else {"report": 1 - report.values[ERROR]},
        parent_report={} if whole is None else {"report": 1 - whole.values[ERROR]},
        latency_ms=latency,
        latency_conditions=conditions,
        method=f"{_finder(selection)}, seed {selection.seed}; {trained}",
        constant=constant_note(folder, *errors_of(selection, report)),
        licence=DEMO_LICENCE if origin == DEMO_NAME else licence_of(origin),
    )


def in_vocabulary(facts: CardFacts, model: PreTrainedModel, vocabulary: CutVocabulary) -> CardFacts:
    """Return what the card of a model says that was cut to a vocabulary."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return replace(facts, parameters=parameters, sections={**facts.sections, VOCABULARY: vocabulary.line})


def save(
    folder: RunFolder,
    model: PreTrainedModel,
    to: Path,
    facts: CardFacts,
    form: Form = "auto",
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> Written:
    """Save a run's model with its card, and with the run's picture of the front if it has one; return the form.

    The tokenizer is the run's if None.
    """
    picture = folder.path / PICTURE
    tokenizer = tokenizer or load_tokenizer(folder.finetuned)
    return write_checkpoint(model, tokenizer, to, facts, form=form, picture=picture if picture.is_file() else None)


def _origin(folder: RunFolder) -> str:
    """Return the model that all began with: of a run on another run's model, what that one began with."""
    model, followed = str(folder.project.model), {folder.path.absolute()}
    while (Path(model).parent / "run.json").is_file() and (run := Path(model).parent.absolute()) not in followed:
        followed.add(run)
        model = str(RunFolder.open(run).project.model)
    return DEMO_NAME if model == "demo" else model


def _finder(selection: Evaluation) -> str:
    """Say what found it."""
    if "density" not in selection.recipe:
        return f"{selection.method} in the {selection.space} space" if selection.space else selection.method
    return f"{selection.method} for a density of {selection.recipe['density']:g} ({selection.recipe['cost']})"


def _training(folder: RunFolder, selection: Evaluation) -> str:
    """Say how the weights came about."""
    match selection.weights:
        case Weights.SUPERNET:
            settings = SupernetSettings.model_validate(folder.settings("supernet"))
            return f"its weights are the supernet's, trained with {settings.strategy} for {settings.length}"
        case Weights.SOLVED:
            return (
                "its weights are the fine-tuned model's, but for the outgoing maps of what is left, which are solved "
                "for on texts without labels; nothing was trained after that"
            )
        case Weights.STANDARD:
            epochs = folder.settings("standard")["epochs"]
            return f"trained by itself for up to {epochs} epochs, of which the best is kept (standard NAS)"
        case Weights.LADDER:
            steps = folder.settings("ladder")["steps"]
            return f"cut from the rung above it, refitted, and distilled from the fine-tuned model for {steps} steps"
        case Weights.REFITTED:
            return "its outgoing maps were solved for anew after that, nothing was trained"
        case Weights.RECOVERED:
            refit = "a refit and " if "refit" in selection.recipe else ""
            return f"{refit}distilled from the fine-tuned model for {selection.recipe['epochs']:g} epochs after that"
        case Weights.NATIVE:
            left = selection.values.get("nonzero")
            nonzero = "" if left is None else f"; {left:.1%} of the weights it prunes are left, the others are zeros"
            return f"trained for {selection.values['epochs']:g} epochs by the method's own recipe{nonzero}"
        case pruned:
            return f"its weights are the {pruned.origin} model's, nothing was trained after that"


def _conditions(folder: RunFolder) -> str:
    return str(searched_latency_table(folder).target)
