"""Which units of a layer to remove, once it is known how many: those whose gradients cancel.

Source: Kwon et al., "A fast post-training pruning framework for transformers", NeurIPS 2022, mask rearrangement.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..search_space.mask import BoolArray

_RELATIVE_GAIN = 1e-9  # below it a swap is rounding, not progress


def rearranged(gradients: ArrayLike, kept: BoolArray, *, sweeps: int = 1) -> BoolArray:
    """Swap removed units for kept ones of the same layer where that lowers what the removal costs.

    The cost is `sum over texts (sum of removed units' gradients)^2`: twice the loss's rise, by the layer's Fisher
    matrix. Each removed unit in turn is exchanged for the kept one that lowers the cost most, if any does.

    Args:
        gradients: `(N, n)`, of each text's loss by each unit's factor.
        kept: `(n,)`; as many are kept afterwards.
        sweeps: at most so many times over all removed units; a sweep without a swap is the last.
    """
    rows = np.asarray(gradients, np.float32)
    gram = (rows.T @ rows).astype(np.float64)  # (n, n): the cost is the sum over pairs of removed units
    diagonal = gram.diagonal().copy()
    kept = kept.copy()
    toward = gram[:, ~kept].sum(axis=1)  # with the sum of removed units' gradients
    least = _RELATIVE_GAIN * max(float(diagonal.sum()), np.finfo(np.float64).tiny)
    for _ in range(sweeps):
        swapped = False
        for removed in np.flatnonzero(~kept):
            # |r - g_out + g_in|^2 - |r|^2, for each unit that might go in place of the one that comes back.
            change = 2 * (toward - toward[removed] - gram[removed]) + diagonal + diagonal[removed]
            change[~kept] = np.inf
            new = int(change.argmin())
            if change[new] < -least:
                kept[removed], kept[new] = True, False
                toward += gram[new] - gram[removed]
                swapped = True
        if not swapped:
            break
    return kept
