"""Whose weights a model has, and all that hangs on it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Layer(StrEnum):
    """How much training followed the cut; models of different layers are never in one table or panel.

    Attributes:
        label: what people call it.
    """

    label: str

    NONE = "none", "no recovery"
    REFITTED = "refitted", "refit"
    RECOVERED = "recovered", "equal short recovery"
    NATIVE = "native", "native recipe"

    def __new__(cls, value: str, label: str) -> Layer:
        """Make a member."""
        layer = str.__new__(cls, value)
        layer._value_, layer.label = value, label
        return layer


_PRUNE = {"method": "mask_tuning", "density": "0.8,0.6,0.4"}


class Weights(StrEnum):
    """What a model's weights come from, as archives, JSON and the command line name it.

    A search's are slices of the supernet's; of the fine-tuned model's, with outgoing maps solved for; or its
    candidates' own, trained in isolation. A ladder's are trained rung by rung. A pruner's are slices of the fine-tuned
    model or of the supernet, with scales folded in or outgoing maps solved for anew, nothing trained. A model of a
    search or a pruner may be refitted after that, or be trained: in a recovery that is the same for every method, or by
    a method's full recipe.

    Attributes:
        layer: how much training followed the cut.
        label: what people call it.
        origin: the model whose slices they are; None for weights that were trained after the cut.
        folder: of the run, where they are kept where they are no plain slices; None if they always are.
        verb, options: the call that makes models with them.
    """

    layer: Layer
    label: str
    origin: str | None
    folder: str | None
    verb: str
    options: Mapping[str, Any]

    SUPERNET = "supernet", Layer.NONE, "weight sharing", "supernet", None, "search", {}
    SOLVED = "solved", Layer.REFITTED, "solved slices", "solved", None, "search", {"weights": "solved"}
    STANDARD = "standard", Layer.NATIVE, "standard NAS", None, "standard", "search", {"searcher": "moasha"}
    LADDER = "ladder", Layer.NATIVE, "ladder", None, "ladder", "ladder", {}
    FINETUNED = "finetuned", Layer.NONE, "pruning", "finetuned", "pruned", "prune", _PRUNE
    SUPERNET_PRUNED = (
        *("supernet-pruned", Layer.NONE, "pruning of the supernet", "supernet", "pruned"),
        *("prune", {**_PRUNE, "origin": "supernet"}),
    )
    REFITTED = "refitted", Layer.REFITTED, "refit", None, "pruned", "compare", {}
    RECOVERED = "recovered", Layer.RECOVERED, "recovery", None, "pruned", "compare", {"recover_epochs": 1}
    NATIVE = "native", Layer.NATIVE, "native recipe", None, "pruned", "prune", {**_PRUNE, "method": "deepcuts_cam"}

    def __new__(cls, value: str, *known: Any) -> Weights:
        """Make a member: its name, and the attributes in their order."""
        weights = str.__new__(cls, value)
        weights._value_ = value
        weights.layer, weights.label, weights.origin, weights.folder, weights.verb, weights.options = known
        return weights

    @property
    def one_per_mask(self) -> bool:
        """A search or the ladder found the model: with these weights no other one of the run has its mask."""
        return self.verb in ("search", "ladder")

    @property
    def stages(self) -> tuple[str, ...]:
        """What finding such models takes beside fine-tuning."""
        if self is Weights.SOLVED:
            return ("solved", "solved_search")
        return (self.value,) if self in (Weights.STANDARD, Weights.LADDER) else ("supernet", "search")


ONE_PER_MASK = tuple(weights for weights in Weights if weights.one_per_mask)
SEVERAL_PER_MASK = tuple(weights for weights in Weights if not weights.one_per_mask)
