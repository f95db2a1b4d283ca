"""`secateur extract`: a subnetwork becomes a model of its own."""

from __future__ import annotations

from pathlib import Path

from ..evaluation.archive import Evaluation
from ..evaluation.objectives import ERROR
from ..search_space import SubnetMask
from ..supernet import Supernet
from ..supernet.extraction import extract as extract_model
from ..supernet.model_card import CardFacts, model_card
from ..supernet.storage import load_tokenizer, save_extracted
from .console import out
from .front import open_archive
from .pick import choose, evaluation_of
from .rescore import REPORT
from .run_folder import RunFolder
from .settings import ExtractCommand
from .workspace import load_supernet, searched_latency_table


def extract(settings: ExtractCommand) -> None:
    """Write a subnetwork, given by its key or by budgets as in `pick`, as a model that transformers loads."""
    folder = RunFolder.open(settings.run)
    with open_archive(folder) as archive:
        key = settings.key
        if key is None:
            key = choose(archive, settings)[0].key
        selection, report = evaluation_of(archive, key)
        supernet = load_supernet(folder.supernet)
        whole = archive.lookup(SubnetMask.full(supernet.shape).key, REPORT)
    to = settings.to or folder.path / "subnets" / key
    write(folder, supernet, selection, report, whole, to)
    out.print(f"{key} is in {to}; load it with", markup=False)
    out.print("  import secateur", markup=False)
    out.print(f'  AutoModelForSequenceClassification.from_pretrained("{to}")', markup=False)


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
        supernet: where it is cut from.
        selection: its evaluation on the selection split.
        report: on the report split, if it was scored there.
        whole: the whole network's evaluation on the report split, if known.
        to: the folder to write.
    """
    model = extract_model(supernet.model, selection.mask)
    latency = None if report is None else report.values["latency_ms"]
    conditions = _conditions(folder) if latency is not None else ""
    whole_mask = SubnetMask.full(supernet.shape)
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
        method=f"{selection.method} in the {selection.space} space, seed {selection.seed}",
    )
    save_extracted(model, load_tokenizer(folder.supernet), to, model_card(facts))


def _conditions(folder: RunFolder) -> str:
    return f"{searched_latency_table(folder).target}, PyTorch"
