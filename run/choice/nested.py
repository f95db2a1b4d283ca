"""The model of a nested checkpoint that is best within budgets, cut out as it is loaded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InputError, unknown_name
from ...evaluation.choice import Candidate, choose
from ...evaluation.evaluation import SELECTION, Evaluation
from ...evaluation.weights import Weights
from .answer import budgets_text

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ...supernet.stored.nested import Nested, NestedModel


def load(folder: str | Path, *, key: str | None = None, **budgets: float) -> PreTrainedModel:
    """Return a model of a nested checkpoint, as `secateur nest` writes it; the run that it is of is not needed.

    Of several models within budgets it is the one of the lowest error on the selection split; within a budget of that
    error alone the one of the smallest encoder. Without a budget it is the most accurate one.

    Args:
        folder: the nested checkpoint.
        key: the model's, as `front` prints it.
        **budgets: instead of a key, limits by objective: `latency_ms`, which a table predicts for the machine that the
            checkpoint names, `encoder_parameters`, `parameters`, `macs`, `memory_mb`, `disk_mb`, `error`.

    Returns:
        A model of transformers in float32, or the precision that it was trained in, on the CPU and in evaluation mode.
        It shares no memory with others.

    Raises:
        InputError: no such checkpoint, a damaged one, no such key, or budgets that no model keeps.

    Example:
        >>> model = secateur.load("family", latency_ms=8)
    """
    from ...supernet.stored.nested import read_nested  # here: who looks the name up only needs no torch

    nested = read_nested(folder)
    return nested.load(chosen_of(nested, key, budgets))


def chosen_of(nested: Nested, key: str | None, budgets: Mapping[str, float]) -> NestedModel:
    """Return the model that a key names, or the best within budgets.

    Raises:
        InputError: no such key, budgets that are none or that no model keeps, or both.
    """
    models = list(nested.models)
    if key is not None:
        if budgets:
            raise InputError("`key` names a model and budgets choose one; give one of the two")
        models = [model for model in models if model.key == key]
        if not models:
            known = ", ".join(dict.fromkeys(model.key for model in nested.models))
            raise InputError(f"{nested.folder} has no model {key!r}; its keys: {known}")
    _check_budgets(budgets, models)
    found = {id(one.evaluation): (one, model) for one, model in ((_candidate(model), model) for model in models)}
    chosen = choose([one for one, _ in found.values()], budgets)
    if chosen is None:
        raise _nothing_within(nested, budgets)
    return found[id(chosen.evaluation)][1]


def _check_budgets(budgets: Mapping[str, float], models: Sequence[NestedModel]) -> None:
    known = set.intersection(*(set(model.values) for model in models))
    for name, limit in budgets.items():
        if name not in known:
            raise unknown_name("budget", name, known)
        if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 < limit < math.inf:
            raise InputError(f"`{name}` needs a number above 0; got {limit!r}")


def _candidate(model: NestedModel) -> Candidate:
    """Return what `pick` would choose among; of the evaluation nothing else is known here, nor asked."""
    evaluation = Evaluation(
        key=model.key,
        mask=model.mask,
        x=None,
        space="",
        method="",
        seed=0,
        split=SELECTION,
        values=model.values,
        seconds=0.0,
        asked=False,
        weights=Weights(model.weights),
    )
    return Candidate(evaluation, model.values)


def _nothing_within(nested: Nested, budgets: Mapping[str, float]) -> InputError:
    least = [f"{name} {min(model.values[name] for model in nested.models):.6g}" for name in budgets]
    each = " each by itself" if len(least) > 1 else ""
    machine = f" (latencies are predicted for {nested.conditions})" if "latency_ms" in budgets else ""
    return InputError(
        f"no model of {nested.folder} keeps {budgets_text(budgets)}; the least there is{each}: "
        f"{', '.join(least)}{machine}"
    )
