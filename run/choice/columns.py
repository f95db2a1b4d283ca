"""Models, column by column: the tables that terminals and notebooks draw."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ...evaluation.choice import cost_names
from ...evaluation.model import Model
from ...evaluation.report.parts import number
from ..constant import MARK

_UNKNOWN = "-"
_COSTS = {"encoder_parameters": "encoder", "latency_ms": "ms", "memory_mb": "MB of memory", "disk_mb": "MB on disk"}


@dataclass(frozen=True, eq=False)
class Column:
    """One column.

    Attributes:
        head: its name.
        cells: one for each row.
        left: aligned to the left.
    """

    head: str
    cells: Sequence[str]
    left: bool = False


def front_columns(models: Sequence[Model], against: str, shares: Sequence[str] = ()) -> list[Column]:
    """Return a front as a table, without columns that would say nothing.

    Args:
        models: a row each.
        against: the cost that it is the front of.
        shares: what the rows are called, of a front of shares.
    """
    costs = _costs(models, ("encoder_parameters", against, "latency_ms"))
    nonzero = Column("non-zero", [_UNKNOWN if m.nonzero is None else f"{m.nonzero:.1%}" for m in models])
    return _telling([Column("share", shares, left=True), *_columns(models), *costs, nonzero])


def answer_columns(roles: Mapping[str, Model], budgets: Mapping[str, float]) -> list[Column]:
    """Return the models that `pick` names as a table, without columns that would say nothing, but with each budget's.

    Args:
        roles: the models by their role, a row each.
        budgets: by objective.
    """
    models = list(roles.values())
    timing = [
        Column("ms, p50", [amount(m.latency_ms if m.latency_p50_ms is None else m.latency_p50_ms) for m in models]),
        Column("(quartiles)", [between(m.latency_low_ms, m.latency_high_ms, amount) for m in models]),
        Column("p95", [amount(m.latency_p95_ms) for m in models]),
    ]
    costs = _costs(models, [name for name in (*cost_names(budgets), "memory_mb") if name != "latency_ms"])
    return _telling([Column("", list(roles), left=True), *_columns(models), *timing, *costs])


def _telling(columns: Iterable[Column]) -> list[Column]:
    return [column for column in columns if any(cell != _UNKNOWN for cell in column.cells)]


def _columns(models: Sequence[Model]) -> list[Column]:
    """Return what every table has: whose weights and which method only where they differ, the constant ones marked."""
    weights = [m.weights for m in models]
    methods = [m.method if m.density is None else f"{m.method} {m.density:g}" for m in models]
    tokens = ["all" if m.tokens is None else f"{m.tokens:,}" for m in models]
    selection = [f"{m.error_selection:.4f}{f' {MARK}' if m.constant else ''}" for m in models]
    return [
        Column("key", [m.key for m in models], left=True),
        Column("weights", weights if len({*weights}) > 1 else (), left=True),
        Column("method", methods if any(m.density is not None for m in models) else (), left=True),
        Column("layers", [str(m.layers) for m in models]),
        Column("heads", [_counts(m.heads) for m in models]),
        Column("neurons", [_counts(m.neurons) for m in models]),
        Column("tokens", tokens if any(m.tokens is not None for m in models) else ()),
        Column("error, selection", selection),
        Column("error, report", [_error(m.error_report) for m in models]),
        Column("(95 %)", [between(m.error_low, m.error_high, lambda error: f"{error:.3f}") for m in models]),
        Column("error, int8", [_error(m.error_int8) for m in models]),
        Column("flip rate, selection", [_error(m.flip_rate) for m in models]),
        Column("(95 %)", [between(m.flip_low, m.flip_high, lambda rate: f"{rate:.4f}") for m in models]),
    ]


def _costs(models: Sequence[Model], names: Iterable[str]) -> list[Column]:
    """Return costs, each once; latency and memory as measured, or about what is predicted."""
    return [
        Column(
            _COSTS.get(name, name.replace("_", " ")),
            [f"{'about ' if m.is_predicted(name) else ''}{amount(m.cost(name))}" for m in models],
        )
        for name in dict.fromkeys(names)
        if name != "nonzero"
    ]


def _counts(counts: tuple[int, ...]) -> str:
    """Write what the layers keep: one number if all that keep anything agree, else one per layer."""
    used = {count for count in counts if count}
    return str(used.pop()) if len(used) == 1 else "/".join(map(str, counts)) if used else _UNKNOWN


def _error(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.4f}"


def amount(value: float | None) -> str:
    """Write a number with three digits, a dash if it is not known."""
    return _UNKNOWN if value is None else number(value)


def between(low: float | None, high: float | None, write: Callable[[float], str]) -> str:
    """Write an interval, a dash if it is not known."""
    return _UNKNOWN if low is None or high is None else f"{write(low)}-{write(high)}"
