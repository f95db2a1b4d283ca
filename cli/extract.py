"""`secateur extract`: a subnetwork becomes a model of its own."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from ..evaluation.evaluation import FINETUNED, REPORT, SEARCHED
from ..run.choice.front import open_archive
from ..run.choice.pick import choose
from ..run.folder import RunFolder
from ..run.model import evaluations_of, whole_evaluation
from ..run.project import load_supernet
from ..run.ship.checkpoint import default_folder, write
from ..search_space import SubnetMask
from ..supernet.heads import auto_class
from ..supernet.shipping.hub import check_hub, check_name, push_to_hub
from ..supernet.stored.record import Written
from ..tasks.kinds import Head
from .console import TERMINAL, out, say
from .settings import ExtractCommand


def extract(settings: ExtractCommand) -> None:
    """Write a subnetwork, given by its key or by budgets as in `pick`, as a model that transformers loads."""
    folder = RunFolder.open(settings.run, TERMINAL)
    if settings.push is not None:
        check_name(settings.push)
        check_hub()
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
        form = write(folder, supernet, selection, report, whole, to, form=settings.form, name=settings.push)
    say_how_to_load(f"{key} is in {to}", supernet.head, form, to)
    if settings.push is not None:
        say(f"{to} is at {push_to_hub(to, settings.push, private=settings.private)}")


def say_how_to_load(said: str, head: Head, form: Written, to: Path) -> None:
    """Print where a checkpoint is and what loads it."""
    lines = [f"{said} ({form}); load it with"]
    if form == "packed":
        lines.append(f'  secateur.supernet.stored.storage.load_model("{to}")')
    else:
        lines += ["  import secateur"] if form in ("portable", "secateur") else []
        lines.append(f'  {auto_class(head)}.from_pretrained("{to}")')
    if form == "portable":
        lines.append(f'or, without Secateur, {auto_class(head)}.from_pretrained("{to}", trust_remote_code=True)')
    for line in lines:
        out.print(line, markup=False)
