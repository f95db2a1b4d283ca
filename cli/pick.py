"""`secateur pick`: the best subnetwork within budgets."""

from __future__ import annotations

import math

from ..evaluation.evaluation import STANDARD
from ..evaluation.latency import busy
from ..run.choice.answer import picked
from ..run.choice.front import open_archive
from ..run.choice.measured import Finalists
from ..run.choice.pick import _as_measured_now, _as_stored, _report, _table, budgets_text, given_budgets
from ..run.folder import RunFolder
from ..run.project import open_supernet
from .answer import answer_json, answer_table, tie_lines
from .console import TERMINAL, out, say
from .settings import PickCommand


def pick(settings: PickCommand) -> None:
    """Name the best subnetwork within the budgets, measured now, with the next cheaper and the next dearer one.

    Of all models that the search evaluated: the one of the lowest error on the selection split whose latency's upper
    quartile, measured in turn with others, keeps the budget. With --error alone, the one of the smallest encoder.
    """
    folder = RunFolder.open(settings.run, TERMINAL)
    budgets = given_budgets(settings)
    with open_archive(folder) as archive:
        table = _table(folder, settings)
        supernet, _ = open_supernet(folder)
        if settings.as_measured:
            roles, spread = _as_stored(folder, archive, supernet, table, settings), math.nan
            known = _report(folder, archive, supernet, roles, None)
        else:
            finalists = Finalists(folder, supernet, table)
            roles = _as_measured_now(folder, archive, finalists, budgets)
            known, spread = _report(folder, archive, supernet, roles, finalists), finalists.spread
    found = {
        role: picked(one, known["chosen"], supernet, table, seed=folder.project.seed) for role, one in known.items()
    }
    key = found["chosen"].key
    if settings.as_json:
        facts = {"budgets": budgets, "target": table.target.model_dump(mode="json"), "spread": spread}
        out.print_json(answer_json(found, facts))
    else:
        own = f" --weights {STANDARD}" if found["chosen"].weights == STANDARD else ""
        out.print(f"{key} is the best within {budgets_text(settings)}; with its neighbours on the front:")
        out.print(answer_table(found, f"{folder.path}: {folder.project.task}, error = 1 - metric\n{table.target}"))
        for line in tie_lines(found):
            out.print(line, markup=False)
        out.print(f"secateur extract {folder.path} --key {key}{own}", markup=False)
    if warning := busy(spread):
        say(f"warning: {warning}")
