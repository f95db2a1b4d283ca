"""What the page's scripts know: every model with its numbers, as JSON."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import Any

from ..model import Model
from .facts import Point, ReportFacts
from .looks import looks
from .parts import DASH, embedded, error, finite, number, percent

# Costs that models can be drawn against, the first that is known being the default: name, label, unit (empty: as many
# thousands, millions, ... as fit), and what an amount of it is called.
_AXES = (
    ("latency_measured_ms", "Latency, measured end to end", "ms", "ms"),
    ("latency_ms", "Latency, predicted by the table", "ms", "ms"),
    ("kept", "Weights kept in the encoder", "%", "% of the encoder"),
    ("memory_mb", "Memory of a process that serves it", "MB", "MB of memory"),
    ("disk_mb", "Weights on disk", "MB", "MB of weights"),
    ("macs", "Multiply-accumulates of one text", "", "MACs"),
    ("encoder_parameters", "Encoder parameters", "", "encoder parameters"),
    ("parameters", "All parameters", "", "parameters"),
)
ERRORS = ("error_selection", "error_report", "error_int8")


def axes_of(facts: ReportFacts) -> tuple[tuple[str, str, str, str], ...]:
    """Return what models can be drawn against: the usual costs, then other objectives, as they are called."""
    others = dict.fromkeys(name for point in facts.points for name in point.model.values)
    return (*_AXES, *((name, name.replace("_", " ").capitalize(), "", name.replace("_", " ")) for name in others))


def payload(facts: ReportFacts) -> str:
    """Return the page's data as JSON that is safe inside a script element."""
    everything = (facts.full, *facts.wholes.values(), *facts.points)
    axes = axes_of(facts)
    costs = tuple(name for name, *_ in axes)
    data = {
        "axes": [axis for one in axes if (axis := _axis(*one, everything)) is not None],
        "metric": facts.metric,
        "command": f"secateur extract {shlex.quote(facts.run)}",
        "layers": [{"name": name, "title": title} for name, title in facts.layers.items()],
        "methods": [
            {"name": name, "light": look.light, "dark": look.dark, "symbol": look.symbol}
            for name, look in looks(facts.methods).items()
        ],
        "table_error": finite(facts.table_error),
        "curves": [asdict(curve) for curve in facts.curves],
        "constant": {name: finite(_constant(facts, name)) for name in ERRORS},
        "tops": {name: _top(facts, name) for name in ERRORS},
        "wholes": {layer: _point(facts, facts.whole(layer), costs) for layer in facts.layers},
        "points": [_point(facts, point, costs) for point in facts.points],
    }
    return embedded(data)


def quoted(facts: ReportFacts, value: float | None) -> str:
    """Write an error on the report split for people, its 95 % interval in brackets where there is one."""
    interval = facts.yardstick.interval(value)
    return error(value) if interval is None else f"{error(value)} ({interval[0]:.3f}{DASH}{interval[1]:.3f})"


def measured(model: Model) -> str:
    """Write a measured latency for people, quartiles in brackets."""
    middle, low, high = model.latency_ms, model.latency_low_ms, model.latency_high_ms
    if DASH in (number(low), number(high)) or number(middle) == DASH:
        return number(middle)
    return f"{number(middle)} ({number(low)}{DASH}{number(high)})"


def kept(point: Point) -> str:
    """Write for people what is left of a model."""
    return f"{percent(point.kept)}{'' if point.model.nonzero is None else ' non-zero'}"


def _axis(name: str, label: str, unit: str, amount: str, points: tuple[Point, ...]) -> dict[str, Any] | None:
    """Describe a cost, with what its numbers are divided by on the page; None if nothing has it."""
    known = [v for v in (finite(point.cost(name)) for point in points) if v is not None]
    if not known:
        return None
    if unit:
        divisor = 0.01 if unit == "%" else 1
    else:
        unit = number(max(known)).partition(" ")[2]
        divisor, amount = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[unit], f"{unit} {amount}"
    return {"name": name, "label": label, "unit": unit, "amount": amount, "divisor": divisor}


def _constant(facts: ReportFacts, name: str) -> float:
    return facts.yardstick.constant if name == "error_selection" else facts.yardstick.constant_report


def _top(facts: ReportFacts, name: str) -> float:
    """Return where the axis of an error ends: the same for all layers, so that changing them compares them."""
    wholes = [getattr(whole.model, name) for whole in (facts.full, *facts.wholes.values())]
    errors = [getattr(point.model, name) for point in facts.reported]
    return facts.yardstick.top(wholes[0], wholes + errors, report=name != "error_selection")


def _point(facts: ReportFacts, point: Point, costs: tuple[str, ...]) -> dict[str, Any]:
    model = point.model
    shown = {name: number(point.cost(name)) for name in costs}
    shown |= {name: quoted(facts, getattr(model, name)) for name in ERRORS}
    shown["error_selection"] = error(model.error_selection)
    intervals = {name: facts.yardstick.interval(getattr(model, name)) for name in ERRORS[1:]}
    shown["latency_measured_ms"] = measured(model)
    shown["kept"] = kept(point)
    return {
        "name": point.name,
        "key": model.key,
        "extract": model.options,
        "method": point.method,
        "layer": point.layer,
        "density": model.density,
        "zeros": model.nonzero is not None,
        "heads": model.heads,
        "neurons": model.neurons,
        "hidden": model.hidden,
        "tokens": model.tokens,
        "on_front": point.on_front,
        "constant": facts.is_constant(point),
        "intervals": intervals,
        "values": {name: finite(point.cost(name)) for name in (*ERRORS, *costs, "latency_low_ms", "latency_high_ms")},
        "shown": shown,
    }
