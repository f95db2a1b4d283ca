"""KCM's ranking: how representative a neuron's outgoing weights are, times how active it is on unlabeled texts.

Source: Nova et al., "Gradient-free structured pruning with unlabeled data", ICML 2023.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ...search_space import UnitScores
from ...supernet import Supernet
from ...supernet.gates import run_whole, watched
from ...tasks import Task
from ..calibration import calibration_batches

_SMALLEST = 1e-30


@dataclass(frozen=True)
class R2D2:
    """The product of a representative and a data-driven score. What the paper leaves open is an option.

    Attributes:
        texts: unlabeled texts.
        sigma: width of the Gaussian kernel; the paper's is 1. `median` takes the median distance of a layer's filters,
            for models whose weights have another scale.
        kernel: `exp(-d^2 / sigma^2)` (`full`) or `exp(-d^2 / (2 sigma^2))` (`half`).
        tolerance: alpha, the relative change at which the iteration ends.
        change: of what: `total` is the absolute change of the sum of elements, over that sum; `elements` the sum of all
            elements' absolute changes. The paper prints the signed change of the sum, which is negative after the first
            step, so that its rule always ends there. On MiniLM's filters `total` ends after 1 or 2 iterations, where
            the representative score orders a layer's neurons as the norms of their filters do (its variation is 0.2 to
            2 of its mean). `elements` ends after about 33, where it is nearly flat in each layer (0.04 to 0.1) and only
            the layers' levels differ: there the order within layers is that of the data-driven score alone. After 5 to
            9, a few neurons have nearly all of it. On SST-2 both ends were equally accurate, and 5 to 9 far worse.
        iterations: at most so many.
        activity: what is averaged over tokens: absolute values, squares (`rms`), or values as they are (`signed`).
            GELU's mean is often negative, which a product of scores cannot bear.
        representative, driven: leave one of the factors out, for comparison.

    The data-driven score is divided by its Euclidean norm in each layer: positive, so that no unit's product changes
    its sign or vanishes, and free of the layer's scale. Heads, which KCM leaves alone, are scored by the root mean
    square of what they add to the residual stream, normalised likewise.
    """

    texts: int = 2048
    sigma: float | Literal["median"] = 1.0
    kernel: Literal["full", "half"] = "full"
    tolerance: float = 0.01
    change: Literal["elements", "total"] = "total"
    iterations: int = 100
    activity: Literal["absolute", "rms", "signed"] = "absolute"
    representative: bool = True
    driven: bool = True

    @torch.inference_mode()
    def __call__(self, supernet: Supernet, task: Task, rng: np.random.Generator) -> UnitScores:
        """Score the units from unlabeled texts, without gradients."""
        heads, active = self._activities(supernet, task, rng)
        neurons = active / active.norm(dim=1, keepdim=True).clamp(min=_SMALLEST)
        if not self.driven:
            neurons = torch.ones_like(neurons)
        if self.representative:
            paths = [supernet.family.layer_path(layer, "ffn_out") for layer in range(supernet.shape.num_layers)]
            filters = [supernet.parameters[f"{path}.weight"].float().T for path in paths]
            neurons = neurons * torch.stack([self.representation(one) for one in filters])
        heads = heads / heads.norm(dim=1, keepdim=True).clamp(min=_SMALLEST)
        return UnitScores(heads.cpu().numpy(), neurons.cpu().numpy())

    def representation(self, filters: Tensor) -> Tensor:
        """Return how much each filter is needed to represent itself, `(N,)`: the diagonal of C.

        Args:
            filters: `(N, D)`, the rows of the block's second linear map.
        """
        kernel = self._kernel(filters)
        c = torch.full_like(kernel, 1.0 / len(filters))
        for _ in range(self.iterations):
            following = updated(kernel, c)
            difference = following - c if self.change == "elements" else following.sum() - c.sum()
            ended = difference.abs().sum() <= self.tolerance * c.sum()
            c = following
            if ended:
                break
        return c.diagonal().clone()

    def _kernel(self, filters: Tensor) -> Tensor:
        distances = torch.cdist(filters, filters, compute_mode="donot_use_mm_for_euclid_dist")
        if self.sigma == "median":
            apart = distances[~torch.eye(len(filters), dtype=torch.bool, device=filters.device)]
            width = float(apart.median()) if len(apart) else 1.0
        else:
            width = self.sigma
        squares = (distances / max(width, _SMALLEST)).square()
        return torch.exp(-squares if self.kernel == "full" else -squares / 2)

    def _activities(self, supernet: Supernet, task: Task, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Return the mean outputs of heads `(L, H)` and neurons `(L, F)` over all tokens but padding."""
        shape = supernet.shape
        heads = torch.zeros(shape.num_layers, shape.num_heads, dtype=torch.float64, device=supernet.device)
        neurons = torch.zeros(shape.num_layers, shape.intermediate_size, dtype=torch.float64, device=supernet.device)
        tokens = 0
        for batch in calibration_batches(supernet, task, self.texts, rng):
            real = batch.real
            tokens += int(real.sum())

            def add_heads(layer: int, flow: Tensor, real: Tensor = real) -> None:
                path = supernet.family.layer_path(layer, "attention_output")
                weight = supernet.parameters[f"{path}.weight"].view(-1, shape.num_heads, shape.head_size)
                split = flow[real].view(-1, shape.num_heads, shape.head_size)
                # |W c|^2 = c' (W'W) c, head by head: the sums over tokens and outputs are never written out.
                gram = torch.einsum("dhi,dhj->hij", weight, weight)
                heads[layer] += torch.einsum("thi,hij,thj->h", split, gram, split)

            def add_neurons(layer: int, flow: Tensor, real: Tensor = real) -> None:
                seen = flow[real]
                value = {"absolute": seen.abs, "rms": seen.square, "signed": lambda: seen}[self.activity]()
                neurons[layer] += value.sum(0)

            with watched(supernet, add_heads, add_neurons):
                run_whole(supernet, batch.inputs)
        heads, neurons = (heads / tokens).clamp(min=0).sqrt(), neurons / tokens
        return heads, neurons.sqrt() if self.activity == "rms" else neurons


r2d2 = R2D2()


def updated(kernel: Tensor, c: Tensor) -> Tensor:
    """Return the next C of the multiplicative update `C * sqrt(K / (K C))`, element by element.

    Args:
        kernel: `(N, N)`, symmetric, positive.
        c: `(N, N)`, not negative.

    Source: Nova et al., ICML 2023, Algorithm 1 (after Huang et al. 2018).
    """
    return c * torch.sqrt(kernel / (kernel @ c).clamp(min=_SMALLEST))
