"""Rows of models that no search evaluated, and what their methods were asked for, as the archive keeps it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

from ..evaluation.evaluation import SELECTION, WHOLE, Evaluation
from ..evaluation.report.comparison import ENCODER, NONZERO
from ..evaluation.weights import Weights
from ..pruners import PRUNERS, RECIPES
from ..search_space import SubnetMask
from .settings.prune import PruneSettings
from .settings.recovery import RefitSettings

REFIT_TEXTS = RefitSettings().texts
# In the values of a model after a refit: the seconds of what the whole model gives, which is computed once for all.
SHARED = "shared_seconds"


def make_row(
    mask: SubnetMask,
    method: str,
    seed: int,
    weights: Weights,
    recipe: Mapping[str, float | str],
    values: Mapping[str, float],
    seconds: float,
) -> Evaluation:
    """Return the row of a model on the selection split, not scored yet; the seconds are those of making it."""
    return Evaluation(
        key=mask.key,
        mask=mask,
        x=None,
        space="",
        method=method,
        seed=seed,
        split=SELECTION,
        values=dict(values),
        seconds=seconds,
        asked=True,
        weights=weights,
        recipe=dict(recipe),
    )


def can_refit(row: Evaluation) -> bool:
    """Tell whether a refit may help a model: it has fewer units, no zeros in place of them, and is no ladder's."""
    return row.method != WHOLE and row.weights is not Weights.LADDER and row.values.get(NONZERO, 1.0) == 1.0


def refitted_row(before: Evaluation) -> Evaluation:
    """Return the row, not scored yet, of a model after a refit; `before` is its row on the selection split."""
    return _after(before, Weights.REFITTED, {"refit": REFIT_TEXTS}, {})


def recovered_row(before: Evaluation, epochs: float) -> Evaluation:
    """Return the row, not scored yet, of what an equal recovery makes of a model; `before` may be after its refit."""
    return _after(before, Weights.RECOVERED, {"epochs": epochs}, {"epochs": epochs})


_LASTING = ("density", "texts", "labels", "gradients", SHARED)


def _after(
    before: Evaluation, weights: Weights, recipe: Mapping[str, float | str], values: Mapping[str, float]
) -> Evaluation:
    """Return the row of what is made of a model, with the seconds that it took to make that one."""
    values = {**{name: value for name, value in before.values.items() if name in _LASTING}, **values}
    recipe = {"from": str(before.weights.origin), **before.recipe, **recipe}
    seconds = before.seconds if is_own(before) else 0.0
    return make_row(before.mask, before.method, before.seed, weights, recipe, values, seconds)


def is_own(row: Evaluation) -> bool:
    """Tell whether a row's seconds are of making its model, and not already counted with its search's stage."""
    return not row.weights.one_per_mask


def is_pruned(row: Evaluation) -> bool:
    """Tell whether a pruner made a row's model, be it one of a plug-in that is not here."""
    return row.method in PRUNERS or "density" in row.recipe


_WAYS = {Weights.STANDARD.value: "standard nas", Weights.SOLVED.value: "solved nas"}  # what searches are called


def label(row: Evaluation) -> str:
    """Name a method as people call it, with what was asked for beyond the usual."""
    if not is_pruned(row):
        if row.method == WHOLE:
            return WHOLE
        if row.weights is Weights.LADDER:
            return row.method
        origin = row.weights if row.weights.one_per_mask else row.recipe.get("from")
        return f"{_WAYS.get(str(origin), 'nas')} ({row.method})"
    changes = []
    cost, origin = row.recipe.get("cost", ENCODER), row.recipe.get("from", "finetuned")
    if cost not in (ENCODER, NONZERO):
        changes.append(f"of {cost}")
    if origin != "finetuned":
        changes.append(f"from {origin}")
    if "texts" in row.recipe:
        changes.append(f"{row.recipe['texts']:,} texts")
    changes += [f"{name} {value}" for name, value in own_options(row.method, row.recipe).items()]
    return f"{row.method} ({', '.join(changes)})" if changes else row.method


DEFAULTS = PruneSettings(method="", density="")


def changed_options(settings: PruneSettings, method: str) -> dict[str, float | str]:
    """Return what a method's own settings change about its default recipe, as an archive keeps it: by option."""
    group = _group(method)
    if group is None:
        return {}
    mine, usual = (getattr(one, group).model_dump(exclude={"save_seconds"}) for one in (settings, DEFAULTS))
    return {f"{group}_{name}": value for name, value in mine.items() if value != usual[name]}


def own_settings(method: str, recipe: Mapping[str, float | str], asked: PruneSettings = DEFAULTS) -> BaseModel | None:
    """Return a method's settings from the recipe that an archive keeps; None for a method without settings.

    Args:
        method: its name.
        recipe: what decides the result.
        asked: tells what does not: how often resume points are saved.
    """
    group = _group(method)
    if group is None:
        return None
    default, unseen = getattr(DEFAULTS, group), getattr(asked, group).model_dump(include={"save_seconds"})
    return type(default).model_validate({**default.model_dump(), **own_options(method, recipe), **unseen})


def own_options(method: str, recipe: Mapping[str, float | str]) -> dict[str, float | str]:
    """Return those of a method's own options that an archive's recipe changes, without the method's name."""
    prefix = f"{_group(method)}_"
    return {name.removeprefix(prefix): value for name, value in recipe.items() if name.startswith(prefix)}


def _group(method: str) -> str | None:
    return next((name for name in RECIPES if method == name or method.startswith(f"{name}_")), None)
