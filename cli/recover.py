"""`secateur recover`: a model that was cut out, distilled from the whole one for some steps or minutes."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace

from ..evaluation.objectives import ERROR
from ..run.constant import constant_note
from ..run.folder import RunFolder
from ..run.project import open_task
from ..run.ship.recovery import recovered, recovery_line
from ..supernet.shipping.checkpoint import card_of, write_checkpoint
from ..supernet.stored.labels import check_labels
from ..supernet.stored.record import PICTURE, read_record
from ..supernet.stored.replacing import check_replaceable
from ..supernet.stored.storage import load_model, load_tokenizer
from .console import TERMINAL, out
from .settings import RecoverCommand


def recover(settings: RecoverCommand) -> None:
    """Distil a run's fine-tuned model into a smaller one: its predictions and its hidden states."""
    folder, checkpoint = RunFolder.open(settings.run, TERMINAL), settings.checkpoint
    to = settings.to or checkpoint.with_name(f"{checkpoint.name}-recovered")
    check_replaceable(to)
    facts = card_of(checkpoint)
    model, tokenizer, task = load_model(checkpoint), load_tokenizer(checkpoint), open_task(folder)
    check_labels(model.config, task)
    state = to.absolute().with_name(f".{to.name}.recover")
    done = recovered(folder, task, model, settings.recover, state)
    said = recovery_line(folder, done)
    facts = replace(facts, name=to.name, selection=None, report={"report": 1 - done.after[ERROR]})
    facts = replace(facts, constant=constant_note(folder, -math.inf, done.after[ERROR]))
    facts = replace(facts, sections={**facts.sections, "Recovery": said})
    picture = checkpoint / PICTURE
    record = read_record(checkpoint)
    form = "auto" if record is None or record.form == "packed" else record.form
    write_checkpoint(model, tokenizer, to, facts, form=form, picture=picture if picture.is_file() else None)
    shutil.rmtree(state, ignore_errors=True)
    out.print(f"{to}: {said}", markup=False)
