"""Kwon et al.'s post-training pruning: Fisher information, a search, scales, and swaps within layers if asked for."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from ..search_space import SubnetMask, UnitScores
from ..search_space.mask import BoolArray
from ..supernet import Supernet
from ..tasks import Task
from .base import Cost, Outcome, Pruner
from .budget import best_mask
from .calibration import calibration_batches
from .importance.backward import Recipe, backward_passes
from .rearrangement import rearranged
from .scales import SCALE_TEXTS, extract_scaled, fit_scales

BATCH = 32  # the authors'; matters to batch gradients only


class MaskTuning(Pruner):
    """Fisher scores, prefix search, then least-squares scales that bring each block close to the whole network's.

    The authors rearrange masks within layers before, and take as the scales' teacher the network that the same scores
    choose at the square root of the density. Both are options here. On SST-2 at 40 % of the MACs, 512 texts and three
    draws, the outputs of a mask as the scores choose it, scaled, were closer to the whole network's (KL) than those of
    a rearranged one in each, and its accuracy varied a fifth as much and was no worse; scales fitted to the whole
    network came closer in every case. Rearranging does lower its own criterion, on other texts too, but by removing
    larger units whose gradients at a factor of 1 cancel.

    Args:
        texts: labelled texts of the training split. The authors draw 2048 with replacement, here without.
        scale_texts: about so many of them for the scales, whole batches at random; the authors take all. 0: no scales.
        fisher: `text` squares each text's gradient; `batch` a batch's mean, as the authors do, and then depends on
            which texts meet in one.
        rearrange: whose removed units are swapped for kept ones: `none`, `neurons`, or `all` as the authors do.
        teacher: of the scales: `whole` is the whole network, `root` the authors'.
        cost: what a density is a share of; the encoder's parameters if None.

    Source: Kwon et al., "A fast post-training pruning framework for transformers", NeurIPS 2022.
    """

    name = "mask_tuning"
    needs_labels = True
    needs_gradients = True

    def __init__(
        self,
        *,
        texts: int = 2048,
        scale_texts: int = SCALE_TEXTS,
        fisher: Literal["text", "batch"] = "text",
        rearrange: Literal["none", "neurons", "all"] = "none",
        teacher: Literal["whole", "root"] = "whole",
        cost: Cost | None = None,
    ) -> None:
        super().__init__(cost=cost)
        self._texts = texts
        self._scale_texts = scale_texts
        self._fisher: Literal["text", "batch"] = fisher
        self._rearrange: Literal["none", "neurons", "all"] = rearrange
        self._teacher: Literal["whole", "root"] = teacher

    def _make(self, supernet: Supernet, task: Task, density: float, rng: np.random.Generator) -> Outcome:
        """Score, search, rearrange if asked for, scale, extract."""
        seed = int(rng.integers(2**62))  # the same texts for gradients and for scales
        heads, neurons = self._once(
            supernet, task, seed, lambda: self._gradients(supernet, task, np.random.default_rng(seed))
        )
        scores = UnitScores(
            np.square(heads, dtype=np.float64).sum(axis=0), np.square(neurons, dtype=np.float64).sum(axis=0), True
        )
        share = self.share(supernet.shape)
        found = best_mask(supernet.shape, scores, share, density)
        root = density**0.5 if self._teacher == "root" else 1.0
        teacher = best_mask(supernet.shape, scores, share, root)
        mask = SubnetMask(
            _rearranged(heads, found.heads) if self._rearrange == "all" else found.heads,
            _rearranged(neurons, found.neurons) if self._rearrange != "none" else found.neurons,
            found.hidden,
        )
        draw = np.random.default_rng(seed)
        batches = list(calibration_batches(supernet, task, self._texts, draw, batch_size=BATCH))
        some = batches[: math.ceil(self._scale_texts / BATCH)]
        model = extract_scaled(supernet, mask, fit_scales(supernet, some, mask, teacher))
        options = {
            "texts": self._texts,
            "scale_texts": self._scale_texts,
            "fisher": self._fisher,
            "rearrange": self._rearrange,
            "teacher": self._teacher,
        }
        return Outcome(mask, model, options, sum(len(batch) for batch in batches))

    def _gradients(
        self, supernet: Supernet, task: Task, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the loss's derivatives by the units' factors, `(N, L, H)` and `(N, L, F)`; N texts, or batches."""
        heads, neurons = [], []
        recipe = Recipe(texts=self._texts, batch_size=BATCH)
        for seen in backward_passes(supernet, task, rng, recipe):
            for passed, collected in ((seen.heads, heads), (seen.neurons, neurons)):
                collected.append(passed if self._fisher == "text" else passed.mean(0, keepdim=True))
        return torch.cat(heads).float().cpu().numpy(), torch.cat(neurons).float().cpu().numpy()


def _rearranged(gradients: NDArray[np.float32], kept: BoolArray) -> BoolArray:
    """Rearrange layer by layer: gradients `(N, L, n)`, kept `(L, n)`."""
    return np.stack([rearranged(gradients[:, layer], row) for layer, row in enumerate(kept)])
