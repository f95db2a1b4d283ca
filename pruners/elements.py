"""Single weights: their scores, which of them a density keeps, and how alike two such choices are.

Source: Grover et al., "DeepCuts" (arXiv 2212.13392), and the authors' code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..supernet import Supernet
from ..tasks import Task
from .importance.backward import Recipe, backward_passes, weight_names
from .importance.weights import weight_score

# Of each linear map's weight and bias, by the parameter's name, in its shape: scores, or bool with True = keep.
Elements = Mapping[str, Tensor]


@dataclass(frozen=True)
class ElementScores:
    """How single weights are scored: the sum over batches of `|W * grad W * (shift + a)|`, or `|W|`.

    Dropout is off throughout.

    Attributes:
        recipe: what is passed backward; None looks at no data and scores `|W|`.
        shift: added to a, the signed mean of the row's output before the activation; None leaves that factor out.
    """

    recipe: Recipe | None
    shift: float | None = None

    def __call__(self, supernet: Supernet, task: Task, rng: np.random.Generator) -> dict[str, Tensor]:
        """Score the prunable weights; the supernet is left as it is."""
        if self.recipe is None:
            return {name: supernet.parameters[name].detach().abs() for name in prunable_names(supernet)}
        scores = {name: torch.zeros_like(supernet.parameters[name]) for name in prunable_names(supernet)}
        for seen in backward_passes(supernet, task, rng, self.recipe):
            for name, total in scores.items():
                path, _, kind = name.rpartition(".")
                total += weight_score(supernet, seen, path, kind, shift=self.shift)
        return scores


# Up to 1,000 batches of 16, and 100 where a batch has ten noisy passes, as in the authors' code.
_ONCE = Recipe(texts=16_000, weights=True, head=True)
_NOISY = Recipe(texts=1_600, weights=True, head=True, noise=1e-3, repeats=10)
STRATEGIES: dict[str, ElementScores] = {
    "cam": ElementScores(_ONCE, shift=0.0),
    "cam_shifted": ElementScores(_ONCE, shift=10.0),
    "smooth": ElementScores(_NOISY),
    "smoothcam": ElementScores(_NOISY, shift=0.0),
    "smoothcam_shifted": ElementScores(_NOISY, shift=10.0),
    "magnitude": ElementScores(None),
    "snip": ElementScores(_ONCE),
}


def prunable_names(supernet: Supernet) -> tuple[str, ...]:
    """Return the tensors that weights are removed from: all linear maps of layers and head but the classifier."""
    classifier = supernet.head_paths.classifier
    return tuple(name for name in weight_names(supernet, head=True) if name.rpartition(".")[0] != classifier)


def kept_elements(scores: Elements, fraction: float) -> dict[str, Tensor]:
    """Keep the highest scores of each tensor by itself: no tensor loses a larger share than another.

    Of n scores the `floor(fraction * n)` highest are kept, which are those above the quantile `1 - fraction`; of equal
    ones those that come first.

    Args:
        scores: of each tensor.
        fraction: the share to keep, 0 to 1.
    """
    kept: dict[str, Tensor] = {}
    for name, score in scores.items():
        count = math.floor(fraction * score.numel() + 1e-6)  # 0.29 * 100 is 28.999999999999996
        order = torch.argsort(score.flatten(), descending=True, stable=True)
        flat = torch.zeros(score.numel(), dtype=torch.bool, device=score.device)
        flat[order[:count]] = True
        kept[name] = flat.view_as(score)
    return kept


def share_kept(kept: Elements) -> float:
    """Return the kept share of all weights that may be removed."""
    return sum(int(one.sum()) for one in kept.values()) / sum(one.numel() for one in kept.values())


def jaccard(left: Elements, right: Elements) -> float:
    """Return how much two choices overlap: weights that both keep over weights that either keeps; 1 if none keeps any.

    Raises:
        ValueError: choices among other tensors.
    """
    if left.keys() != right.keys():
        raise ValueError(f"choices among the same tensors can be compared, not {sorted(left.keys() ^ right.keys())}")
    both = sum(int((left[name] & right[name]).sum()) for name in left)
    either = sum(int((left[name] | right[name]).sum()) for name in left)
    return both / either if either else 1.0


def kept_fraction(compression: float, parameters: int, prunable: int) -> float:
    """Return the share of the prunable weights to keep for a compression of the whole model, embeddings included.

    Args:
        compression: c, all parameters over those that are kept.
        parameters: of the whole model.
        prunable: those among them that may be removed.

    Raises:
        InputError: a compression below 1, or one that removing all prunable weights does not reach.

    Example:
        >>> round(kept_fraction(2, 109_483_778, 85_608_192), 4)  # BERT-base with two classes
        0.3606
    """
    fixed = parameters - prunable
    if not 1 <= compression < parameters / fixed:
        limit = math.floor(1000 * parameters / fixed) / 1000
        raise InputError(
            f"the compression of this model is at least 1 and below {limit:g}, for {fixed:,} of its {parameters:,} "
            f"parameters are never removed; got {compression:g}"
        )
    return (parameters / compression - fixed) / prunable


def kept_fraction_of(supernet: Supernet, compression: float) -> float:
    """Return the same for a model.

    Raises:
        InputError: a compression that it cannot reach.
    """
    sizes = {name: parameter.numel() for name, parameter in supernet.parameters.items()}
    return kept_fraction(compression, sum(sizes.values()), sum(sizes[name] for name in prunable_names(supernet)))
