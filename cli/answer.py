"""What `pick` answers, as a table."""

from __future__ import annotations

from rich.table import Table

from ..run.choice.answer import Answer
from ..run.model import Model
from .front import kept


def answer_table(answer: Answer, title: str) -> Table:
    """Draw the models as a table, the cheapest first; whole at 80 columns: what does not fit is folded, never cut."""
    table = Table(title=title, title_justify="left", padding=(0, 0, 0, 1))
    rows = {role: _cells(model) for role, model in answer.roles.items()}
    said = [name for name in next(iter(rows.values())) if any(cells[name] != "-" for cells in rows.values())]
    table.add_column("", no_wrap=True)
    for name in said:
        table.add_column(name, justify="left" if name == "key" else "right", overflow="fold", no_wrap=name == "key")
    for role, cells in rows.items():
        table.add_row(role, *(cells[name] for name in said))
    return table


def _cells(model: Model) -> dict[str, str]:
    memory = "-" if model.memory_predicted_mb is None else f"about {model.memory_predicted_mb:.0f}"
    return {
        "key": model.key,
        "layers": str(model.layers),
        "heads": kept(model.heads),
        "neurons": kept(model.neurons),
        "error, selection": f"{model.error_selection:.4f}",
        "error, report": _number(model.error_report, 4),
        "(95 %)": _range(model.error_low, model.error_high, 4),
        "error, int8": _number(model.error_int8, 4),
        "ms, p50": _number(model.latency_ms if model.latency_p50_ms is None else model.latency_p50_ms, 2),
        "(quartiles)": _range(model.latency_low_ms, model.latency_high_ms, 2),
        "p95": _number(model.latency_p95_ms, 2),
        "MB": memory if model.memory_mb is None else f"{model.memory_mb:.0f}",
    }


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _range(low: float | None, high: float | None, digits: int) -> str:
    return "-" if low is None or high is None else f"{low:.{digits}f}-{high:.{digits}f}"


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
