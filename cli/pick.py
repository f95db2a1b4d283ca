"""`secateur pick`: the best subnetwork within budgets."""

from __future__ import annotations

from ..evaluation.report.yardstick import CONSTANT
from ..run.run import Run
from ..run.settings.choice import PickSettings
from .console import TERMINAL, out, print_json, print_text, say
from .settings import PickCommand, fields_of
from .tables import show


def pick(settings: PickCommand) -> None:
    """Name the best subnetwork within the budgets, measured now, with the next cheaper and the next dearer one."""
    run = Run(settings.run, tell=TERMINAL)
    answer = run.pick(**fields_of(settings, PickSettings))
    if settings.as_json:
        print_json(answer.facts())
    else:
        key = answer.chosen.key
        but = f", but {CONSTANT}" if answer.chosen.constant else ""
        print_text(f"{key} is the best within {answer.within}{but}; with its neighbours on the front:")
        title = f"{run.path}: {run.folder.project.task}, error = 1 - metric\n{answer.target}"
        show(title, answer.columns, labels=2)
        for line in (*answer.kept, *answer.notes, *answer.ties):
            print_text(line)
        out.print(f"secateur extract {run.path} {answer.chosen.options}", markup=False)
    if warning := answer.warning:
        say(f"warning: {warning}")
