"""How many units each block keeps, so that a sum of losses is least within a budget: the exact optimum.

Source: Frantar & Alistarh, "SPDY: accurate pruning with speedup guarantees", ICML 2022, section 3.1, whose dynamic
programme runs over a discretised cost; here lists of all allocations that no other one dominates are merged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..search_space import SubnetMask
from .base import Cost

# Allocations that are remembered between two blocks; of more, the best within each of so many steps of cost are.
MOST = 16_384


@dataclass(frozen=True)
class LayerLosses:
    """What a layer may keep, and what that is thought to lose.

    Attributes:
        heads, neurons: counts, above 0, or 0 where that block may be dropped.
        by_heads, by_neurons: loss at each of these.
        dropped: loss where the layer keeps nothing; infinite if it must stay.
    """

    heads: NDArray[np.intp]
    by_heads: NDArray[np.float64]
    neurons: NDArray[np.intp]
    by_neurons: NDArray[np.float64]
    dropped: float


@dataclass(frozen=True)
class Allocations:
    """The allocations that no other one dominates, by rising cost and falling loss.

    Attributes:
        costs: `(p,)`, of the masks.
        losses: `(p,)`.
        counts: `(p, 2 L)` int, of heads and of neurons, layer after layer.
        mask: from counts to the mask.
    """

    costs: NDArray[np.float64]
    losses: NDArray[np.float64]
    counts: NDArray[np.intp]
    mask: Callable[[NDArray[np.intp]], SubnetMask]

    def within(self, limit: float) -> int:
        """Return the position of the least loss that costs at most `limit`.

        Raises:
            InputError: none does.
        """
        fitting = np.flatnonzero(self.costs <= limit)
        if not len(fitting):
            raise InputError(
                f"the smallest allocation costs {self.costs.min():g}, more than the {limit:g} allowed; allow more"
            )
        return int(fitting[np.argmin(self.losses[fitting])])

    def best(self, limit: float) -> SubnetMask:
        """Return the mask of the least loss that costs at most `limit`.

        Raises:
            InputError: none does.
        """
        return self.mask(self.counts[self.within(limit)])


def allocations(
    layers: Sequence[LayerLosses], cost: Cost, mask: Callable[[NDArray[np.intp]], SubnetMask], *, most: int = MOST
) -> Allocations:
    """Return all allocations worth having, for any number of budgets.

    Exact for a cost that is a sum over blocks, as parameters, multiply-accumulates and latency tables are, while at
    most `most` allocations are worth having; from then on no loss is above the exact optimum at a budget that is
    smaller by `3 L / most` of the cost's range. What is returned are the masks' own costs, whatever the cost is.

    Args:
        layers: what each may keep; at least one keeps something.
        cost: of a mask.
        mask: from counts `(2 L,)` to a mask.
        most: allocations that are remembered.
    """
    priced = _Prices(len(layers), cost, mask)
    costs, losses, chosen = np.array([priced.base]), np.zeros(1), np.zeros((1, 0), np.intp)
    for layer, options in enumerate(layers):
        attention = _merged(
            (costs, losses, chosen), priced(2 * layer, options.heads), options.by_heads, options.heads, most
        )
        kept = _merged(attention, priced(2 * layer + 1, options.neurons), options.by_neurons, options.neurons, most)
        dropped = costs, losses + options.dropped, np.hstack([chosen, np.zeros((len(chosen), 2), np.intp)])
        joined = tuple(np.concatenate(pair) for pair in zip(kept, dropped, strict=True))
        costs, losses, chosen = _undominated(*joined, most)
    some = chosen.any(axis=1) & np.isfinite(losses)
    losses, chosen = losses[some], chosen[some]
    return Allocations(np.array([cost(mask(counts)) for counts in chosen]), losses, chosen, mask)


class _Prices:
    """The cost that each block adds: of the encoder that keeps nothing else, so that it is exact for a sum."""

    def __init__(self, num_layers: int, cost: Cost, mask: Callable[[NDArray[np.intp]], SubnetMask]) -> None:
        self._none, self._cost, self._mask = np.zeros(2 * num_layers, np.intp), cost, mask
        self.base = cost(mask(self._none))

    def __call__(self, block: int, counts: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return what a block adds at each count."""
        rows = np.tile(self._none, (len(counts), 1))
        rows[:, block] = counts
        return np.array([self._cost(self._mask(row)) - self.base for row in rows])


_Part = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]


def _merged(
    part: _Part, costs: NDArray[np.float64], losses: NDArray[np.float64], counts: NDArray[np.intp], most: int
) -> _Part:
    """Return what is worth having of all pairs of an allocation so far and a count of the next block."""
    all_costs, all_losses = part[0][:, None] + costs, part[1][:, None] + losses
    some = (np.count_nonzero(part[2], axis=1) > 0)[:, None] | (counts > 0)
    kept = _best(all_costs.ravel(), all_losses.ravel(), some.ravel(), most)
    before, option = np.divmod(kept, len(costs))
    return all_costs.flat[kept], all_losses.flat[kept], np.hstack([part[2][before], counts[option][:, None]])


def _undominated(costs: NDArray[np.float64], losses: NDArray[np.float64], chosen: NDArray[np.intp], most: int) -> _Part:
    kept = _best(costs, losses, np.count_nonzero(chosen, axis=1) > 0, most)
    return costs[kept], losses[kept], chosen[kept]


def _best(
    costs: NDArray[np.float64], losses: NDArray[np.float64], some: NDArray[np.bool_], most: int
) -> NDArray[np.intp]:
    """Return the positions of what nothing dominates, by rising cost; at most `most` and a few.

    What keeps nothing, where not `some`, dominates nothing: it is no allocation yet. The best of it comes first.
    """
    (nothing,), (something,) = np.nonzero(~some & np.isfinite(losses)), np.nonzero(some & np.isfinite(losses))
    order = something[np.lexsort((losses[something], costs[something]))]
    falling = np.minimum.accumulate(losses[order])
    kept = order[np.concatenate([[True], falling[1:] < falling[:-1]])[: len(order)]]
    if len(kept) > most:
        steps = (costs[kept] - costs[kept[0]]) / (costs[kept[-1]] - costs[kept[0]]) * most
        # The last of a step has its least loss, and costs no more than the step's end.
        last = np.diff(steps.astype(np.intp), append=most + 1) > 0
        last[0] = True  # the smallest there is
        kept = kept[last]
    return np.append(nothing[np.argsort(losses[nothing])][:1], kept)
