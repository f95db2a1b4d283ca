"""Models as a table of HTML, which notebooks show."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ...evaluation.report.yardstick import CONSTANT
from ..model import Model

_TIED = "against the chosen"


def html_table(models: Sequence[tuple[str, Model]], caption: str) -> str:
    """Return a table with a row for each model, and the columns that say something of any.

    Args:
        models: each with its role, which may be empty; what is `chosen` is what the others are compared with.
        caption: above it.
    """
    rows = [{"": role, **_cells(model), **({_TIED: ""} if role == "chosen" else {})} for role, model in models]
    names = [name for name in (rows[0] if rows else {}) if any(row[name] for row in rows)]
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "\n".join(f"<tr>{''.join(f'<td>{escape(row[name])}</td>' for name in names)}</tr>" for row in rows)
    left = "style='text-align: left; caption-side: top'"
    return f"<table><caption {left}>{escape(caption)}</caption>\n<tr>{head}</tr>\n{body}\n</table>"


def _cells(model: Model) -> dict[str, str]:
    typical = model.latency_ms if model.latency_p50_ms is None else model.latency_p50_ms
    return {
        "key": model.key,
        "weights": "" if model.weights == "supernet" else model.weights,
        "method": "" if model.density is None else f"{model.method} {model.density:g}",
        "layers": str(model.layers),
        "heads": _kept(model.heads),
        "neurons": _kept(model.neurons),
        "encoder": _number(model.encoder_parameters, 2, 1e6, " M"),
        "error, selection": f"{model.error_selection:.4f}",
        "error, report": _number(model.error_report, 4) + _range(model.error_low, model.error_high, 4),
        "ms": _number(typical, 2) + _range(model.latency_low_ms, model.latency_high_ms, 2),
        "ms, p95": _number(model.latency_p95_ms, 2),
        "MB of memory": _number(model.memory_mb, 0),
        _TIED: {None: "", True: "tied", False: "not tied"}[model.tied],
        "note": CONSTANT if model.constant else "",
    }


def _number(value: float | None, digits: int, unit: float = 1.0, name: str = "") -> str:
    return "" if value is None else f"{value / unit:.{digits}f}{name}"


def _range(low: float | None, high: float | None, digits: int) -> str:
    return "" if low is None or high is None else f" ({low:.{digits}f}-{high:.{digits}f})"


def _kept(counts: tuple[int, ...]) -> str:
    used = {count for count in counts if count}
    return str(used.pop()) if len(used) == 1 else "/".join(map(str, counts)) if used else ""
