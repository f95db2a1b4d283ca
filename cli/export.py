"""`secateur export`: from the front to production, in one go."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from rich.table import Table

from ..errors import InputError
from ..evaluation.latency import LatencyTarget
from ..evaluation.latency.target import TORCH
from ..evaluation.model_error import few_inputs
from ..evaluation.objectives import ERROR
from ..run.choice.front import open_archive
from ..run.folder import RunFolder
from ..run.latency import latency_table_here
from ..run.model import open_subnet
from ..run.project import load_supernet, open_task
from ..run.scores import report_errors
from ..run.ship.checkpoint import card_facts, save
from ..run.ship.export import (
    CUT,
    RECOVERED,
    WHOLE,
    Row,
    _cells,
    _check,
    _check_saved,
    _chosen,
    _header,
    _markdown,
    _recovered,
    _rows,
)
from ..supernet.shipping.checkpoint import write_card
from ..supernet.shipping.files import INT8_FILE, INT8_SECTION, too_far, write_onnx_files
from ..supernet.shipping.hub import push_to_hub
from ..supernet.shipping.model_card import CardFacts
from .console import TERMINAL, out, say
from .extract import say_how_to_load
from .settings import ExportCommand


def export(settings: ExportCommand) -> None:
    """Pick a model, cut it out, recover, save and convert it, and check each step on the report split.

    The model is given by its key, or by budgets as in `pick`. An export that was killed goes on where it was.
    """
    folder, to = RunFolder.open(settings.run, TERMINAL), settings.to
    _check(settings)
    state = to.absolute().with_name(f".{to.name}.export")
    target = latency_table_here(folder, settings.runtime).target
    with open_archive(folder) as archive:
        selection, report = _chosen(folder, archive, settings, state)
        supernet = load_supernet(folder.supernet if folder.supernet.is_dir() else folder.finetuned)
    recovers = settings.steps is not None or settings.minutes is not None
    if recovers and selection.values.get("nonzero", 1.0) < 1:
        raise InputError(f"{selection.method} removes single weights, which a recovery would fill; leave --recover out")
    task, whole = open_task(folder), load_supernet(folder.finetuned).model.float()
    model = open_subnet(folder, supernet, selection).float()
    rows = [Row(CUT, TORCH, 1 - report_errors(model, task)[ERROR], float("nan"))]
    sections: dict[str, str] = {}
    if recovers:
        model, note = _recovered(folder, task, model, settings, state)
        sections["Recovery"] = note
        rows.append(Row(RECOVERED, TORCH, 1 - report_errors(model, task)[ERROR], float("nan")))
    facts = card_facts(folder, supernet, model, selection, report, None, settings.push or to.name)
    form = save(folder, model, to, facts, settings.form)
    _check_saved(model, to, few_inputs(supernet, task))
    write_onnx_files(model, to, onnx=settings.onnx, int8=settings.int8)
    if settings.int8:
        sections |= INT8_SECTION
        if warning := too_far(model, to / INT8_FILE):
            say(f"warning: {warning}")
    rows = _rows(folder, rows, whole, model, task, to, settings, target)
    sections["As it is served"] = _markdown(rows, facts.metric, target)
    served = next(row for row in reversed(rows) if row.model != WHOLE and row.runtime == TORCH)
    assert served.latency is not None
    scores = {"report": {"report": served.score}, "parent_report": {"report": rows[0].score}}
    if recovers:  # what was scored on the selection split is the model before it
        facts = replace(facts, selection=None)
    measured = {"latency_ms": served.latency.median, "latency_conditions": str(target)}
    write_card(to, replace(facts, **scores, **measured, sections=sections))
    shutil.rmtree(state, ignore_errors=True)
    _answer(rows, to, facts, target, settings)
    if not settings.as_json:
        say_how_to_load(f"{selection.key} is in {to}", facts.head, form, to)
    if settings.push is not None:
        say(f"{to} is at {push_to_hub(to, settings.push, private=settings.private)}")


def _answer(rows: list[Row], to: Path, facts: CardFacts, target: LatencyTarget, settings: ExportCommand) -> None:
    if settings.as_json:
        steps = [{**asdict(row), "megabytes": None if np.isnan(row.megabytes) else row.megabytes} for row in rows]
        known = {"folder": str(to), "key": facts.key, "parameters": facts.parameters, "metric": facts.metric}
        out.print_json(data={**known, "target": target.model_dump(mode="json"), "steps": steps})
        return
    table = Table(title=f"{to}: {facts.parameters / 1e6:.2f} M parameters\n{target}", title_justify="left")
    for i, name in enumerate(_header(facts.metric)):
        table.add_column(name, justify="left" if i < 2 else "right")
    for row in rows:
        table.add_row(*_cells(row))
    out.print(table)
