"""What `pick` answers, as a table."""

from __future__ import annotations

from ..evaluation.choice import cost_names
from ..run.choice.answer import Answer
from .front import cost, errors, structure
from .tables import Column, amount, between, show


def show_answer(answer: Answer, title: str) -> None:
    """Print the models, the cheapest first; columns that would say nothing are left out, never a budget's."""
    models = list(answer.roles.values())
    found = [Column("", list(answer.roles), left=True), Column("key", [m.key for m in models], left=True)]
    labels = len(found)
    if len({m.weights for m in models}) > 1:
        found.append(Column("weights", [m.weights for m in models], left=True))
    selection, report, *int8 = errors(models)
    p50 = [m.latency_ms if m.latency_p50_ms is None else m.latency_p50_ms for m in models]
    found += [*structure(models), selection, report]
    found.append(Column("(95 %)", [between(m.error_low, m.error_high, lambda x: f"{x:.3f}") for m in models]))
    found += int8
    found.append(Column("ms, p50", list(map(amount, p50))))
    found.append(Column("(quartiles)", [between(m.latency_low_ms, m.latency_high_ms, amount) for m in models]))
    found.append(Column("p95", [amount(m.latency_p95_ms) for m in models]))
    costs = dict.fromkeys((*cost_names(answer.budgets), "memory_mb"))
    found += [column for name in costs if name != "latency_ms" and (column := cost(name, models)) is not None]
    show(title, [column for column in found if any(cell != "-" for cell in column.cells)], labels)


def tie_lines(answer: Answer) -> list[str]:
    """Say of each neighbour whether it is statistically tied with the chosen model, where they were compared."""
    lines = []
    for role, model in answer.roles.items():
        if role != "chosen" and model.difference_low is not None and model.difference_high is not None:
            verdict = "is statistically tied with it" if model.tied else "is not tied with it"
            lines.append(
                f"the next {role} one {verdict}: its error less the chosen one's lies in {model.difference_low:+.4f} "
                f"to {model.difference_high:+.4f} (95 %, report split)"
            )
    return lines
