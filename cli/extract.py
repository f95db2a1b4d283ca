"""`secateur extract`: a subnetwork becomes a model of its own."""

from __future__ import annotations

from ..run.run import Run
from ..run.settings.ship import ExtractSettings
from ..run.ship.checkpoint import Extracted
from ..supernet.heads import auto_class
from .console import TERMINAL, out, say
from .settings import ExtractCommand, fields_of


def extract(settings: ExtractCommand) -> None:
    """Write a subnetwork, given by its key or by budgets as in `pick`, as a model that transformers loads."""
    say_how_to_load(Run(settings.run, tell=TERMINAL).extract(**fields_of(settings, ExtractSettings)))


def say_how_to_load(written: Extracted) -> None:
    """Print where a checkpoint is and what loads it."""
    to, form = written.folder, written.form
    loads = "SentenceTransformer" if written.head == "embedding" else f"{auto_class(written.head)}.from_pretrained"
    lines = [] if written.note is None else [f"{written.key} is {written.note}"]
    lines.append(f"{written.key} is in {to} ({form}); load it with")
    if form == "packed":
        lines.append(f'  secateur.supernet.stored.storage.load_model("{to}")')
    else:
        lines += ["  import secateur"] if form in ("portable", "secateur") else []
        lines.append(f'  {loads}("{to}")')
    if form == "portable":
        lines.append(f'or, without Secateur, {loads}("{to}", trust_remote_code=True)')
    for line in lines:
        out.print(line, markup=False)
    if written.address is not None:
        say(f"{to} is at {written.address}")
