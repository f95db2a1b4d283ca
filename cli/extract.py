"""`secateur extract`: a subnetwork becomes a model of its own."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from ..errors import InputError
from ..evaluation.archive import STANDARD, SUPERNET, Archive, Evaluation
from ..evaluation.objectives import ERROR
from ..search_space import SubnetMask
from ..supernet import Supernet
from ..supernet.model_card import CardFacts, model_card
from ..supernet.storage import load_tokenizer, save_extracted
from .console import out
from .front import open_archive, whole_evaluation
from .pick import choose
from .rescore import REPORT, SELECTION
from .run_folder import RunFolder
from .settings import ExtractCommand
from .workspace import load_supernet, open_subnet, searched_latency_table


def extract(settings: ExtractCommand) -> None:
    """Write a subnetwork, given by its key or by budgets as in `pick`, as a model that transformers loads."""
    folder = RunFolder.open(settings.run)
    with open_archive(folder) as archive:
        key, weights = settings.key, settings.weights
        if key is None:
            chosen, _ = choose(archive, settings, weights)
            key, weights = chosen.key, chosen.weights
        selection, report = evaluations_of(archive, key, weights)
        supernet = load_supernet(folder.supernet)
        whole = whole_evaluation(archive, SubnetMask.full(supernet.shape).key, REPORT)
    to = settings.to or default_folder(folder, selection)
    # A stage that begins tidies the run folder up, half-written models included.
    with folder.writing() if settings.to is None else nullcontext():
        write(folder, supernet, selection, report, whole, to)
    out.print(f"{key} is in {to}; load it with", markup=False)
    out.print("  import secateur", markup=False)
    out.print(f'  AutoModelForSequenceClassification.from_pretrained("{to}")', markup=False)


def evaluations_of(archive: Archive, key: str, weights: str | None) -> tuple[Evaluation, Evaluation | None]:
    """Return a model's evaluations on the selection and, if it was scored there, the report split.

    Args:
        archive: where from.
        key: the mask's.
        weights: which; the supernet's if None and the key was evaluated with both.

    Raises:
        InputError: no such key, or not with these weights.
    """
    found = {one.weights: one for one in archive.evaluations(split=SELECTION) if one.key == key}
    if not found:
        raise InputError(f"the archive has no subnetwork {key!r}; `secateur front` lists the keys")
    kind = weights or (SUPERNET if SUPERNET in found else STANDARD)
    if kind not in found:
        raise InputError(f"{key} was not evaluated with {kind} weights, only with {next(iter(found))}; drop --weights")
    return found[kind], archive.lookup(key, REPORT, weights=kind)


def default_folder(folder: RunFolder, selection: Evaluation) -> Path:
    """Return where an extracted model goes if nothing else is said."""
    own = f"-{STANDARD}" if selection.weights == STANDARD else ""
    return folder.path / "subnets" / f"{selection.key}{own}"


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
    latency = None if report is None else report.values["latency_ms"]
    conditions = _conditions(folder) if latency is not None else ""
    whole_mask, trained = SubnetMask.full(supernet.shape), _training(folder, selection)
    facts = CardFacts(
        name=to.name,
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
        method=f"{selection.method} in the {selection.space} space, seed {selection.seed}; {trained}",
    )
    save_extracted(model, load_tokenizer(folder.supernet), to, model_card(facts))


def _training(folder: RunFolder, selection: Evaluation) -> str:
    """Say how the weights came about."""
    if selection.weights == STANDARD:
        epochs = folder.settings("standard")["epochs"]
        return f"trained by itself for up to {epochs} epochs, of which the best is kept (standard NAS)"
    settings = folder.settings("supernet")
    return f"its weights are the supernet's, trained with {settings['strategy']} for {settings['epochs']:g} epochs"


def _conditions(folder: RunFolder) -> str:
    return f"{searched_latency_table(folder).target}, PyTorch"
