"""`secateur pick`: the best subnetwork within budgets."""

from __future__ import annotations

from ..evaluation.evaluation import STANDARD
from ..evaluation.report.yardstick import CONSTANT
from ..run.choice.stored import budgets_text
from ..run.run import Run
from ..run.settings import PickSettings
from .answer import show_answer, tie_lines
from .console import TERMINAL, out, print_json, print_text, say
from .settings import PickCommand, fields_of


def pick(settings: PickCommand) -> None:
    """Name the best subnetwork within the budgets, measured now, with the next cheaper and the next dearer one."""
    run = Run(settings.run, tell=TERMINAL)
    found = run.pick(**fields_of(settings, PickSettings))
    if settings.as_json:
        print_json(found.facts())
    else:
        key = found.chosen.key
        own = f" --weights {STANDARD}" if found.chosen.weights == STANDARD else ""
        but = f", but {CONSTANT}" if found.chosen.constant else ""
        print_text(f"{key} is the best within {budgets_text(found.budgets)}{but}; with its neighbours on the front:")
        show_answer(found, f"{run.path}: {run.folder.project.task}, error = 1 - metric\n{found.target}")
        for line in (*found.notes, *tie_lines(found)):
            print_text(line)
        out.print(f"secateur extract {run.path} --key {key}{own}", markup=False)
    if warning := found.warning:
        say(f"warning: {warning}")
