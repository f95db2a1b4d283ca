"""`secateur extract`: a subnetwork becomes a model of its own."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from ..errors import InputError
from ..evaluation.archive import FINETUNED, NATIVE, RECOVERED, SEARCHED, STANDARD, SUPERNET, Archive, Evaluation
from ..evaluation.objectives import ERROR
from ..search_space import SubnetMask
from ..supernet import Supernet
from ..supernet.heads import auto_class
from ..supernet.model_card import CardFacts, model_card
from ..supernet.storage import load_tokenizer, save_extracted
from .console import out
from .front import on_report, open_archive, whole_evaluation
from .latency_tables import searched_latency_table
from .pick import choose
from .rescore import REPORT, SELECTION
from .run_folder import RunFolder
from .settings import ExtractCommand
from .workspace import load_supernet, model_name, open_subnet


def extract(settings: ExtractCommand) -> None:
    """Write a subnetwork, given by its key or by budgets as in `pick`, as a model that transformers loads."""
    folder = RunFolder.open(settings.run)
    with open_archive(folder) as archive:
        key, weights, method = settings.key, settings.weights, settings.method
        if key is None:
            chosen, _ = choose(archive, settings, weights)
            key, weights, method = chosen.key, chosen.weights, chosen.method
        selection, report = evaluations_of(archive, key, weights, method=method, density=settings.density)
        supernet = load_supernet(folder.supernet if folder.supernet.is_dir() else folder.finetuned)
        kind = None if selection.weights in SEARCHED else FINETUNED
        whole = whole_evaluation(archive, SubnetMask.full(supernet.shape).key, REPORT, kind)
    to = settings.to or default_folder(folder, selection)
    # A stage that begins tidies the run folder up, half-written models included.
    with folder.writing() if settings.to is None else nullcontext():
        write(folder, supernet, selection, report, whole, to)
    out.print(f"{key} is in {to}; load it with", markup=False)
    out.print("  import secateur", markup=False)
    out.print(f'  {auto_class(supernet.head)}.from_pretrained("{to}")', markup=False)


def evaluations_of(
    archive: Archive, key: str, weights: str | None, *, method: str | None = None, density: float | None = None
) -> tuple[Evaluation, Evaluation | None]:
    """Return a model's evaluations on the selection and, if it was scored there, the report split.

    Args:
        archive: where from.
        key: the mask's.
        weights: which; the supernet's if None and the key was evaluated with several.
        method: of a pruned model; any if None, and of several models the one of the lowest selection error.
        density: the one that was asked for, likewise.

    Raises:
        InputError: no such key, or not with these weights or by this method.
    """
    found = [one for one in archive.evaluations(split=SELECTION) if one.key == key]
    if not found:
        raise InputError(f"the archive has no subnetwork {key!r}; `secateur front` lists the keys")
    kinds = list(dict.fromkeys(one.weights for one in found))
    kind = weights or (SUPERNET if SUPERNET in kinds else kinds[0])
    if kind not in kinds:
        raise InputError(f"{key} was not evaluated with {kind} weights, only with {', '.join(kinds)}; drop --weights")
    found = [one for one in found if one.weights == kind]
    if kind not in SEARCHED:
        known = ", ".join(dict.fromkeys(_maker(one) for one in found))
        found = [one for one in found if method in (None, one.method)]
        found = [one for one in found if density in (None, one.recipe.get("density"))]
        if not found:
            raise InputError(f"{key} with {kind} weights was made by {known}; give --method and --density of those")
    chosen = min(found, key=lambda one: one.values[ERROR])
    return chosen, on_report(archive, chosen)


def _maker(one: Evaluation) -> str:
    return f"{one.method} at {one.recipe['density']:g}" if "density" in one.recipe else one.method


def default_folder(folder: RunFolder, selection: Evaluation) -> Path:
    """Return where an extracted model goes if nothing else is said."""
    return folder.path / "subnets" / model_name(selection)


def write(
    folder: RunFolder,
    supernet: Supernet,
    selection: Evaluation,
    report: Evaluation | None,
    whole: Evaluation | None,
    to: Path,
) -> None:
    """Extract a subnetwork and save it with a model card.

    Args:
        folder: the run.
        supernet: where it is cut from, unless it has weights of its own.
        selection: its evaluation on the selection split.
        report: on the report split, if it was scored there.
        whole: the whole network's evaluation on the report split, if known.
        to: the folder to write.
    """
    model = open_subnet(folder, supernet, selection)
    latency = None if report is None else report.values.get("latency_ms")
    conditions = _conditions(folder) if latency is not None else ""
    whole_mask, trained = SubnetMask.full(supernet.shape), _training(folder, selection)
    facts = CardFacts(
        name=to.name,
        head=supernet.head,
        parent=str(folder.project.model),
        key=selection.key,
        heads=selection.mask.heads_per_layer,
        neurons=selection.mask.neurons_per_layer,
        hidden_size=selection.mask.hidden_size,
        parameters=sum(p.numel() for p in model.parameters()),
        parent_parameters=sum(p.numel() for p in supernet.model.parameters()),
        encoder_parameters=selection.mask.encoder_parameters(supernet.shape),
        parent_encoder_parameters=whole_mask.encoder_parameters(supernet.shape),
        task=folder.project.task,
        metric=folder.record["facts"]["metric"],
        selection=1 - selection.values[ERROR],
        report={} if report is None else {"report": 1 - report.values[ERROR]},
        parent_report={} if whole is None else {"report": 1 - whole.values[ERROR]},
        latency_ms=latency,
        latency_conditions=conditions,
        method=f"{_finder(selection)}, seed {selection.seed}; {trained}",
    )
    save_extracted(model, load_tokenizer(folder.finetuned), to, model_card(facts))


def _finder(selection: Evaluation) -> str:
    """Say what found it."""
    if "density" not in selection.recipe:
        return f"{selection.method} in the {selection.space} space" if selection.space else selection.method
    return f"{selection.method} for a density of {selection.recipe['density']:g} ({selection.recipe['cost']})"


def _training(folder: RunFolder, selection: Evaluation) -> str:
    """Say how the weights came about."""
    if selection.weights == STANDARD:
        epochs = folder.settings("standard")["epochs"]
        return f"trained by itself for up to {epochs} epochs, of which the best is kept (standard NAS)"
    if selection.weights == NATIVE:
        left = selection.values.get("nonzero")
        nonzero = "" if left is None else f"; {left:.1%} of the weights it prunes are left, the others are zeros"
        return f"trained for {selection.values['epochs']:g} epochs by the method's own recipe{nonzero}"
    if selection.weights == RECOVERED:
        return f"distilled from the fine-tuned model for {selection.recipe['epochs']:g} epochs after that"
    if selection.weights != SUPERNET:
        return (
            f"its weights are the {selection.recipe.get('from', 'finetuned')} model's, nothing was trained after that"
        )
    settings = folder.settings("supernet")
    return f"its weights are the supernet's, trained with {settings['strategy']} for {settings['epochs']:g} epochs"


def _conditions(folder: RunFolder) -> str:
    return f"{searched_latency_table(folder).target}, PyTorch"
