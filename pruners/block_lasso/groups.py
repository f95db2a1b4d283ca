"""Which matrices have groups, how they are cut, and which groups a density keeps."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedModel

from ...errors import InputError
from ...supernet.packed import Scheme
from ...supernet.packed.slabs import Slabs
from ...supernet.stored.storage import known_family
from .settings import Selection

_WIDTH = 256  # of the authors' slabs of BERT-base, a third of its hidden size


def prunable_linears(model: PreTrainedModel, *, head: bool = False) -> tuple[str, ...]:
    """Return the paths of the linear maps in a model's layers, without those of dropped blocks.

    Args:
        model: of a supported family, or an extracted one.
        head: the dense layer of its head as well, where it has one.

    Raises:
        InputError: another family, or no such map.
    """
    family, modules = known_family(model.config), dict(model.named_modules())
    layers = range(len(list(model.get_submodule(family.layers).children())))
    paths = [path for layer in layers for path in family.linear_paths(layer)]
    if head:
        paths += [one.dense for one in family.heads.values() if one.dense is not None]
    found = tuple(path for path in paths if isinstance(modules.get(path), nn.Linear))
    if not found:
        raise InputError("the model has no layer left, so that there is nothing to prune; give a larger one")
    return found


def cut(
    model: PreTrainedModel,
    *,
    scheme: Scheme = "row",
    width: int | None = None,
    slabs: int | None = None,
    head: bool = False,
) -> dict[str, Slabs]:
    """Cut a model's matrices into slabs.

    Neither width nor number given, slabs are 256 wide where that divides every matrix, as the authors' are. Else they
    are a third of the hidden size wide, which is 256 for BERT-base, as nearly as equal slabs (by one weight) allow.

    Args:
        model: of a supported family, or an extracted one.
        scheme: what a group is.
        width: of every slab.
        slabs: of each matrix; their widths differ by one where that does not divide it.
        head: also cut the dense layer of the head.

    Returns:
        How each linear map is cut, by its path.

    Raises:
        InputError: both a width and a number, a width that does not divide a matrix, or more slabs than it has lines.
    """
    if width is not None and slabs is not None:
        raise InputError(f"slabs have a width or a number, got width {width} and {slabs} slabs; give one of the two")
    paths = prunable_linears(model, head=head)
    lengths = {path: model.get_parameter(f"{path}.weight").shape[1 if scheme == "row" else 0] for path in paths}
    across = "columns" if scheme == "row" else "rows"
    if width is None and slabs is None and all(length % _WIDTH == 0 for length in lengths.values()):
        width = _WIDTH
    found: dict[str, Slabs] = {}
    for path, length in lengths.items():
        if width is not None and length % width:
            raise InputError(
                f"slabs of {width} {across} do not divide {path}, which has {length}; give a width that divides "
                f"{', '.join(map(str, sorted(set(lengths.values()))))}, or a number of slabs"
            )
        count = length // width if width is not None else slabs or max(1, round(3 * length / model.config.hidden_size))
        if count > length:
            raise InputError(f"{path} has {length} {across}, which cannot be cut into {count} slabs; give fewer")
        found[path] = Slabs(scheme, tuple(len(part) for part in np.array_split(np.arange(length), count)))
    return found


def kept_groups(
    norms: Mapping[str, Tensor], cuts: Mapping[str, Slabs], density: float, selection: Selection
) -> dict[str, Tensor]:
    """Keep the groups whose norms are not below a percentile: of G distinct norms the `ceil(r (G - 1))` smallest go.

    Args:
        norms: of each matrix's groups, `(lines, slabs)`.
        cuts: how the matrices are cut.
        density: 1 - r, the share of groups to keep.
        selection: of each matrix by itself, or of all together; then a norm counts per square root of its weights.

    Returns:
        Of each matrix, `(lines, slabs)` bool.

    Raises:
        InputError: norms that are not numbers.

    Source: Li et al.'s code, `np.percentile` and a strict comparison.
    """
    values = {path: one.double().cpu().numpy() for path, one in norms.items()}
    if not all(np.isfinite(one).all() for one in values.values()):
        raise InputError(
            "group norms must be finite numbers, but the training under the penalty has diverged; lower the learning "
            "rate or the penalty"
        )
    if selection == "global":
        values = {path: one / np.sqrt(cuts[path].widths) for path, one in values.items()}
        threshold = _percentile(np.concatenate([one.ravel() for one in values.values()]), density)
        return {path: torch.from_numpy(one >= threshold) for path, one in values.items()}
    return {path: torch.from_numpy(one >= _percentile(one, density)) for path, one in values.items()}


def _percentile(values: NDArray[np.float64], density: float) -> float:
    """Return the least value to keep.

    Nothing lies between it and `np.percentile(values, 100 * (1 - density))`, which is not exact: 1 - 0.7 is above 0.3.
    """
    first = math.ceil(round((1 - density) * (values.size - 1), 6))
    return float(np.partition(values.ravel(), first)[first])


def share_of_weights(kept: Mapping[str, Tensor], cuts: Mapping[str, Slabs]) -> float:
    """Return the kept groups' share of all weights in groups."""
    widths = {path: torch.tensor(one.widths) for path, one in cuts.items()}
    left = sum(int((groups * widths[path]).sum()) for path, groups in kept.items())
    return left / sum(len(groups) * int(widths[path].sum()) for path, groups in kept.items())
