"""What `pick` answers: the model and its neighbours with all that is known of them, as JSON or as a table."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.table import Table

from ..run.choice.answer import Picked
from .front import kept


def answer_json(roles: Mapping[str, Picked], facts: Mapping[str, Any]) -> str:
    """Write an answer as JSON: `chosen`, `cheaper` and `dearer`, null where there is none, and facts about it all."""
    found = {role: asdict(roles[role]) if role in roles else None for role in ("chosen", "cheaper", "dearer")}
    return json.dumps(_without_nan({**found, **facts}))


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_nan(one) for name, one in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def answer_table(roles: Mapping[str, Picked], title: str) -> Table:
    """Draw the models as a table, the cheapest first."""
    table = Table(title=title, title_justify="left")
    table.add_column("", no_wrap=True, min_width=7)
    table.add_column("key", no_wrap=True, min_width=16)
    int8 = not all(math.isnan(p.error_int8) for p in roles.values())
    latency = f"{'int8: error, ms' if int8 else 'latency ms'}, p50 (quartiles)"
    names = ("layers", "heads", "neurons", "error, selection", "error, report (95 %)", latency)
    for name in (*names, "p95", "memory MB"):
        table.add_column(name, justify="right")
    for role in ("cheaper", "chosen", "dearer"):
        if (p := roles.get(role)) is None:
            continue
        table.add_row(
            role,
            p.key,
            str(p.layers),
            kept(p.heads),
            kept(p.neurons),
            f"{p.error_selection:.4f}",
            f"{p.error_report:.4f} ({p.error_low:.4f}-{p.error_high:.4f})",
            f"{'' if math.isnan(p.error_int8) else f'{p.error_int8:.4f}, '}"
            f"{p.latency_p50_ms:.2f} ({p.latency_low_ms:.2f}-{p.latency_high_ms:.2f})",
            "-" if math.isnan(p.latency_p95_ms) else f"{p.latency_p95_ms:.2f}",
            f"about {p.memory_predicted_mb:.0f}" if math.isnan(p.memory_mb) else f"{p.memory_mb:.0f}",
        )
    return table


def tie_lines(roles: Mapping[str, Picked]) -> list[str]:
    """Say of each neighbour whether it is statistically tied with the chosen model."""
    lines = []
    for role in ("cheaper", "dearer"):
        if (p := roles.get(role)) is not None:
            verdict = "is statistically tied with it" if p.tied else "is not tied with it"
            lines.append(
                f"the next {role} one {verdict}: its error less the chosen one's lies in {p.difference_low:+.4f} to "
                f"{p.difference_high:+.4f} (95 %, report split)"
            )
    return lines
