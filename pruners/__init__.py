"""Pruners: subnetworks without a search, on the same description and the same evaluator."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import unknown_name
from ..registry import Place, Registry, importer
from .importance import IMPORTANCES

if TYPE_CHECKING:
    from pydantic import BaseModel

    from .base import Cost, Provenance, Pruned, Pruner
    from .block_lasso.pruner import BlockLasso
    from .cofi.pruner import CoFi
    from .deepcuts import DeepCuts
    from .kcm import KCM
    from .kprune import KPrune
    from .layer_drop import LayerDrop, LayerDropTuned
    from .mask_tuning import MaskTuning
    from .rank import Rank
    from .ziplm import ZipLM

_ELEMENTS = (
    "cam",
    "cam_shifted",
    "smooth",
    "smoothcam",
    "smoothcam_shifted",
    "magnitude",
    "snip",
)  # `.elements` scores

# What makes each: a class, or one with another of its options.
PRUNERS: Registry[Callable[..., Pruner]] = Registry(
    {
        **{f"rank_{importance}": Place("pruners.rank:Rank", (importance,)) for importance in IMPORTANCES},
        "kcm": Place("pruners.kcm:KCM"),
        "mask_tuning": Place("pruners.mask_tuning:MaskTuning"),
        "kprune": Place("pruners.kprune:KPrune"),
        "ziplm": Place("pruners.ziplm:ZipLM"),
        "layer_drop_top": Place("pruners.layer_drop:LayerDrop", ("top",)),
        "layer_drop_bottom": Place("pruners.layer_drop:LayerDrop", ("bottom",)),
        "layer_drop_alternate": Place("pruners.layer_drop:LayerDrop", ("alternate",)),
        "layer_drop_tuned": Place("pruners.layer_drop:LayerDropTuned"),
        **{f"deepcuts_{scores}": Place("pruners.deepcuts:DeepCuts", (scores,)) for scores in _ELEMENTS},
        "cofi": Place("pruners.cofi.pruner:CoFi"),
        "block_lasso": Place("pruners.block_lasso.pruner:BlockLasso"),
    }
)

# The settings of methods that train, by their names or what those begin with; `prune` takes them under that name.
RECIPES: Registry[type[BaseModel]] = Registry(
    {
        "cofi": Place("pruners.cofi.settings:CoFiSettings"),
        "block_lasso": Place("pruners.block_lasso.settings:BlockLassoSettings"),
        "layer_drop_tuned": Place("pruners.layer_drop_settings:LayerDropSettings"),
        "deepcuts": Place("pruners.deepcuts_settings:DeepCutsSettings"),
    }
)


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


__getattr__ = importer(
    __name__,
    {
        **dict.fromkeys(("Cost", "Provenance", "Pruned", "Pruner"), "base"),
        "BlockLasso": "block_lasso.pruner",
        "CoFi": "cofi.pruner",
        "DeepCuts": "deepcuts",
        "KCM": "kcm",
        "KPrune": "kprune",
        **dict.fromkeys(("LayerDrop", "LayerDropTuned"), "layer_drop"),
        "MaskTuning": "mask_tuning",
        "Rank": "rank",
        "ZipLM": "ziplm",
    },
)

__all__ = [
    "KCM",
    "PRUNERS",
    "RECIPES",
    "BlockLasso",
    "CoFi",
    "Cost",
    "DeepCuts",
    "KPrune",
    "LayerDrop",
    "LayerDropTuned",
    "MaskTuning",
    "Provenance",
    "Pruned",
    "Pruner",
    "Rank",
    "ZipLM",
    "make_pruner",
]
