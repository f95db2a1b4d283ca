"""Pruners: subnetworks without a search, on the same description and the same evaluator."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pydantic import BaseModel

from ..errors import unknown_name
from .base import Cost, Provenance, Pruned, Pruner
from .block_lasso import BlockLasso
from .cofi import CoFi
from .deepcuts import DeepCuts
from .elements import STRATEGIES
from .importance import IMPORTANCES
from .kcm import KCM
from .layer_drop import LayerDrop
from .mask_tuning import MaskTuning
from .rank import Rank

# What makes each: a class, or one with another of its options.
PRUNERS: dict[str, Callable[..., Pruner]] = {
    **{f"rank_{importance}": partial(Rank, importance) for importance in IMPORTANCES},
    "kcm": KCM,
    "mask_tuning": MaskTuning,
    "layer_drop_top": partial(LayerDrop, "top"),
    "layer_drop_bottom": partial(LayerDrop, "bottom"),
    "layer_drop_alternate": partial(LayerDrop, "alternate"),
    **{f"deepcuts_{strategy}": partial(DeepCuts, strategy) for strategy in STRATEGIES},
    "cofi": CoFi,
    "block_lasso": BlockLasso,
}


def make_pruner(name: str, *, cost: Cost | None = None, settings: BaseModel | None = None) -> Pruner:
    """Return the pruner of that name.

    Args:
        name: a name of PRUNERS.
        cost: what a density is a share of; the encoder's parameters if None.
        settings: the recipe of a method that trains, of its own type; its default if None.

    Raises:
        InputError: an unknown name.

    Example:
        >>> make_pruner("kcm").prune(supernet, task, 0.6, np.random.default_rng(0)).model
    """
    if name not in PRUNERS:
        raise unknown_name("pruner", name, PRUNERS)
    made = PRUNERS[name](cost=cost) if settings is None else PRUNERS[name](cost=cost, settings=settings)
    made.name = name
    return made


__all__ = [
    "KCM",
    "PRUNERS",
    "BlockLasso",
    "CoFi",
    "Cost",
    "DeepCuts",
    "LayerDrop",
    "MaskTuning",
    "Provenance",
    "Pruned",
    "Pruner",
    "Rank",
    "make_pruner",
]
