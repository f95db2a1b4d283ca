"""`secateur pick`: the best subnetwork within budgets."""

from __future__ import annotations

from ..errors import InputError
from ..evaluation.archive import Archive, Evaluation
from ..evaluation.objectives import ERROR
from .console import out
from .front import FrontPoint, front_points, front_table, open_archive
from .rescore import REPORT, SELECTION
from .run_folder import RunFolder
from .settings import Budgets, PickCommand

# Kinds of budgets; the neighbours are ordered by the first cost that has one.
_NAMES = ("latency_ms", "parameters", "encoder_parameters", "macs", "error")


def pick(settings: PickCommand) -> None:
    """Name the best subnetwork within the budgets, with the next cheaper and the next dearer one."""
    folder = RunFolder.open(settings.run)
    with open_archive(folder) as archive:
        chosen, neighbours = choose(archive, settings)
    out.print(f"{chosen.key} is the best within {budgets_text(settings)}; with its neighbours on the front:")
    out.print(front_table(folder, neighbours))
    out.print(f"secateur extract {folder.path} --key {chosen.key}", markup=False)


def given_budgets(settings: Budgets) -> dict[str, float]:
    """Return the budgets that were given, by objective.

    Raises:
        InputError: none was.
    """
    found = {name: getattr(settings, name) for name in _NAMES if getattr(settings, name) is not None}
    if not found:
        raise InputError(f"give a budget: one or more of {', '.join('--' + n.replace('_', '-') for n in _NAMES)}")
    return found


def budgets_text(settings: Budgets) -> str:
    """Write the budgets for people."""
    return " and ".join(f"{name} <= {value:g}" for name, value in given_budgets(settings).items())


def choose(archive: Archive, settings: Budgets) -> tuple[FrontPoint, list[FrontPoint]]:
    """Return the model that is best within the budgets, and it between its neighbours on the front.

    Chosen from the fronts of error against each cost that has a budget; the neighbours are those of the first cost.

    Latency is what was measured on the extracted model, not the table's prediction. The lowest error on the selection
    split wins; where the error is the only budget, the cheapest encoder.

    Raises:
        InputError: nothing keeps the budgets; the message names the nearest there is.
    """
    budgets = given_budgets(settings)
    costs = [name for name in _NAMES if name in budgets and name != ERROR] or ["encoder_parameters"]
    cost = costs[0]
    fronts = [front_points(archive, one) for one in costs]
    points = list({point.key: point for front in fronts for point in front}.values())
    within = [p for p in points if all(_value(p, name) <= limit for name, limit in budgets.items())]
    if not within:
        nearest = min(points, key=lambda p: max(_value(p, name) / limit for name, limit in budgets.items()))
        has = " and ".join(f"{name} {_value(nearest, name):.6g}" for name in budgets)
        raise InputError(
            f"nothing on the front keeps {budgets_text(settings)}; the nearest is {nearest.key} with {has}"
        )
    if set(budgets) == {ERROR}:
        chosen = min(within, key=lambda p: _value(p, cost))
    else:
        chosen = min(within, key=lambda p: (p.error_selection, _value(p, cost)))
    shown = {point.key: point for point in (*fronts[0], chosen)}
    ordered = sorted(shown.values(), key=lambda p: _value(p, cost))
    at = ordered.index(chosen)
    return chosen, ordered[max(0, at - 1) : at + 2]


def evaluation_of(archive: Archive, key: str) -> tuple[Evaluation, Evaluation | None]:
    """Return a model's evaluations on the selection and, if it was scored there, the report split.

    Raises:
        InputError: no such key.
    """
    selection = archive.lookup(key, SELECTION)
    if selection is None:
        raise InputError(f"the archive has no subnetwork {key!r}; `secateur front` lists the keys")
    return selection, archive.lookup(key, REPORT)


def _value(point: FrontPoint, name: str) -> float:
    return point.error_selection if name == ERROR else float(getattr(point, name))
