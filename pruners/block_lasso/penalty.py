"""The reweighted group Lasso: a penalty that drives whole groups of weights to zero."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from ...supernet.packed.slabs import Slabs
from ...supernet.training.resume_files import load_tensors, save_tensors

_SMALLEST = 1e-20  # a norm to divide by


class GroupPenalty:
    """`strength / G * sum over all G groups of g |w|` with `g = 1 / (|w0| + epsilon)`, w0 the group when g was renewed.

    Divided by the number of groups, its value right after a renewal is nearly `strength`, whatever model and slabs are.
    The authors' factor of each group is 1e-4, which for BERT-base with its embeddings in slabs of 256 makes 43. The g
    are constants between renewals; a group that is all zero has no gradient.

    Args:
        weights: `(p, q)`, by any name.
        cuts: how each is cut, by the same names.
        strength: see above; 0 for a control without a penalty.
        epsilon: above 0.

    Source: Li et al., Findings of EMNLP 2020; Candes, Wakin and Boyd, "Enhancing sparsity by reweighted l1
    minimization", 2008.
    """

    def __init__(
        self, weights: Mapping[str, nn.Parameter], cuts: Mapping[str, Slabs], *, strength: float, epsilon: float
    ) -> None:
        self._weights, self._cuts, self._epsilon = weights, cuts, epsilon
        self.factor = strength / sum(one.norms(weights[name].detach()).numel() for name, one in cuts.items())
        self._reweights: dict[str, Tensor] = {}
        self._seen: dict[str, Tensor] = {}
        self.renew()

    @property
    def norms(self) -> dict[str, Tensor]:
        """Norms of all groups as they are now, `(lines, slabs)` of each weight."""
        return {name: one.norms(self._weights[name].detach()) for name, one in self._cuts.items()}

    def renew(self) -> None:
        """Make every g follow its group's norm."""
        self._reweights = {name: 1 / (norms + self._epsilon) for name, norms in self.norms.items()}

    @property
    def value(self) -> float:
        """The penalty as it is now."""
        return self.factor * sum(float((self._reweights[name] * norms).sum()) for name, norms in self.norms.items())

    @property
    def seen(self) -> float:
        """The penalty at the last optimiser step, which had to compute it anyway; 0 where none is added."""
        return self.factor * float(sum(self._seen.values()))

    @contextmanager
    def added(self) -> Iterator[None]:
        """Add the penalty's gradient to the loss's right before each optimiser step that is taken with the weights.

        The loss's gradient has been clipped by then, and that alone: clipped with it, a large penalty would shrink what
        the loss says. A penalty of 0 adds nothing.
        """
        handle = register_optimizer_step_pre_hook(self._add) if self.factor else None
        try:
            yield
        finally:
            if handle is not None:
                handle.remove()

    @torch.no_grad()
    def _add(self, optimizer: Optimizer, *_: object) -> None:
        stepped = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        for name, weight in self._weights.items():
            if id(weight) not in stepped or weight.grad is None:
                continue
            norms, reweights = self._cuts[name].norms(weight), self._reweights[name].to(weight.device)
            self._seen[name] = (reweights * norms).sum()
            by_group = self.factor * reweights / norms.clamp(min=_SMALLEST)
            weight.grad.add_(self._cuts[name].spread(by_group) * weight)

    def save(self, path: Path) -> None:
        """Write every g, at once or not at all."""
        save_tensors(path, self._reweights)

    def load(self, path: Path) -> None:
        """Read what :meth:`save` wrote."""
        self._reweights = load_tensors(path)
