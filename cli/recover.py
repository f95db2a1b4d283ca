"""`secateur recover`: a model that was cut out, distilled from the whole one for some steps or minutes."""

from __future__ import annotations

from ..run.folder import RunFolder
from ..run.ship.recovery import recover_checkpoint
from .console import TERMINAL, out
from .settings import RecoverCommand


def recover(settings: RecoverCommand) -> None:
    """Distil a run's fine-tuned model into a smaller one: its predictions and its hidden states."""
    to = settings.to or settings.checkpoint.with_name(f"{settings.checkpoint.name}-recovered")
    line = recover_checkpoint(RunFolder.open(settings.run, TERMINAL), settings.checkpoint, to, settings.recover)
    out.print(f"{to}: {line}", markup=False)
