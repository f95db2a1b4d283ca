"""Evaluations as a pandas data frame, for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..search_space import EncoderShape, SubnetMask

if TYPE_CHECKING:
    import pandas as pd

    from .evaluation import Evaluation


def data_frame(evaluations: Sequence[Evaluation]) -> pd.DataFrame:
    """Return one row per evaluation, in their order; see :meth:`Archive.to_dataframe` for the columns.

    Args:
        evaluations: `(n,)`, of one encoder.
    """
    import pandas as pd  # takes half a second, which no other command should wait for

    rows = [_row(one) for one in evaluations]
    names = dict.fromkeys(name for row in rows for name in row)  # in the order they come up
    return pd.DataFrame(rows, columns=list(names))


def _row(one: Evaluation) -> dict[str, Any]:
    mask, whole = one.mask, _shape(one.mask)
    row: dict[str, Any] = {
        "key": one.key,
        "method": one.method,
        "weights": one.weights.value,
        "split": one.split,
        "seed": one.seed,
        "space": one.space,
        "asked": one.asked,
        "seconds": one.seconds,
        "density": mask.encoder_parameters(whole) / whole.encoder_parameters,
        "layers": sum(1 for heads, neurons in zip(mask.heads_per_layer, mask.neurons_per_layer) if heads or neurons),
        "hidden": mask.hidden_size,
    }
    row |= {} if mask.tokens is None else {"tokens": mask.tokens.count}
    row |= {f"heads_{layer}": count for layer, count in enumerate(mask.heads_per_layer)}
    row |= {f"neurons_{layer}": count for layer, count in enumerate(mask.neurons_per_layer)}
    row |= {f"recipe_{name}": value for name, value in one.recipe.items()}
    return row | {(f"{name}_value" if name in row else name): value for name, value in one.values.items()}


def _shape(mask: SubnetMask) -> EncoderShape:
    """Return the whole encoder's sizes; every supported family divides its width evenly among the heads."""
    (layers, heads), width = mask.heads.shape, len(mask.hidden)
    return EncoderShape(layers, heads, width // heads, width, mask.neurons.shape[1])
