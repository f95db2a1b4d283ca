"""K-prune: from the bottom up, a sublayer is pruned, its outgoing map refitted, and what is above it scored anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..search_space import SubnetMask
from ..supernet import Supernet
from ..supernet.architecture import linear, settled
from ..supernet.blocks import Block, BlockWalk, blocks
from ..supernet.encoder import classify, neuron_outputs, text_lengths, what_is_read
from ..supernet.extraction import extract
from ..supernet.refit import WholeSums, refit, refit_block
from ..supernet.self_attention import attention_context
from ..tasks import Task
from ..tasks.batches import Batch
from ..tasks.kinds.kind import Kind
from .base import Cost, Outcome, Pruner, Recovery
from .budget import unit_costs
from .calibration import calibration_batches

TEXTS, BATCH = 512, 32
TEMPERATURE = 2.0
REPRESENTATIONAL = 2.5e-4  # the authors' weight of the representational score; that of the predictive one is 1
_SHARP = 1e4  # turns logits into labels


class KPrune(Pruner):
    """Goes through the sublayers from the first one up, and prunes each by what all that are left can spare.

    At each sublayer the units of this one and those above it are scored by what they tell of the whole model's
    predictions, and of its states: `1/2 g^2 + weight * (sum of h^2) (mean of W^2)`, over what a unit costs. The best
    that fit into what is left of the budget stay, but only this sublayer is cut, and its outgoing map is refitted.

    The authors' g is the derivative, by a unit's factor, of the divergence from the whole model's soft labels. It is
    zero as long as nothing is cut; so here labels are drawn from the soft labels, text by text: their derivative has
    that of the divergence for its mean, and its square tells of the divergence's curvature besides. A unit's rank
    decides, not a threshold, so that budgets are met to a unit; each block keeps one. Normal equations are damped.

    Args:
        texts: unlabeled texts of the training split.
        weight: of the representational score.
        cost: what a density is a share of; the encoder's parameters if None.

    Source: Park et al., "Accurate retraining-free pruning for pretrained encoder-based language models", ICLR 2024.
    """

    name = "kprune"
    recovery: ClassVar[Recovery] = "refit"
    needs_gradients = True

    def __init__(self, *, texts: int = TEXTS, weight: float = REPRESENTATIONAL, cost: Cost | None = None) -> None:
        super().__init__(cost=cost)
        self._texts, self._weight = texts, weight

    def _make(self, supernet: Supernet, task: Task, density: float, rng: np.random.Generator) -> Outcome:
        """Choose sublayer by sublayer, extract, refit."""
        seed = int(rng.integers(2**62))
        target = self._once(supernet, task, seed, lambda: self._target(supernet, task, seed))
        mask = self._chosen(target, task.kind, density, np.random.default_rng(seed))
        model = extract(supernet.model, mask)
        refit(model, mask, target)
        options = {"texts": self._texts, "weight": self._weight}
        return Outcome(mask, model, options, sum(len(batch) for batch in target.batches))

    def _target(self, supernet: Supernet, task: Task, seed: int) -> WholeSums:
        rng = np.random.default_rng(seed)
        return WholeSums(supernet, list(calibration_batches(supernet, task, self._texts, rng, batch_size=BATCH)), rng)

    def _chosen(self, target: WholeSums, kind: Kind, density: float, rng: np.random.Generator) -> SubnetMask:
        whole = target.whole
        shape, share, full = whole.shape, self.share(whole.shape), SubnetMask.full(whole.shape)
        costs = dict(zip(("attention", "ffn"), unit_costs(shape, share), strict=True))
        draw = torch.Generator().manual_seed(int(rng.integers(2**62)))
        outputs = _outputs(whole, target.batches)
        walk = BlockWalk.through(whole, target.batches, full)
        kept = {"attention": full.heads.copy(), "ffn": full.neurons.copy()}
        sublayers = list(blocks(whole.architecture))
        for position, block in enumerate(sublayers):
            above = sublayers[position:]
            scores = _Scores(walk, above, target, kind, draw).of(outputs, self._weight)
            worth = [score / max(costs[one.kind], 1e-12) for one, score in zip(above, scores, strict=True)]
            kept[block.kind][block.layer] = _best(above, worth, kept, share, density, full.hidden)
            _cut(walk, block, kept[block.kind][block.layer], shape.head_size)
            refit_block(walk, block, full, target)
            with torch.inference_mode():
                for i in range(len(target.batches)):
                    walk.advance(block, i, walk.sum_and_units(block, i)[0])
        return SubnetMask(kept["attention"], kept["ffn"], full.hidden)


@torch.inference_mode()
def _outputs(whole: Supernet, batches: Sequence[Batch]) -> list[Tensor]:
    subnet = whole.subnet(SubnetMask.full(whole.shape), torch.float32)
    return [subnet.outputs(**batch.inputs) for batch in batches]


class _Scores:
    """What the units of some sublayers are worth, from the state that a walk has come to."""

    def __init__(
        self, walk: BlockWalk, above: Sequence[Block], target: WholeSums, kind: Kind, draw: torch.Generator
    ) -> None:
        self._walk, self._above, self._target, self._kind, self._draw = walk, above, target, kind, draw
        self._architecture = target.whole.architecture

    def of(self, outputs: Sequence[Tensor], weight: float) -> list[NDArray[np.float64]]:
        """Return the scores of each sublayer's units, `(H,)` or `(F,)`.

        Args:
            outputs: the whole model's, `(R, C)` for each batch.
            weight: of the representational part.
        """
        sizes = [self._architecture.head_size if block.kind == "attention" else 1 for block in self._above]
        totals: list[Tensor] = []
        for i, batch in enumerate(self._target.batches):
            gradients, flows = self._passed(i, batch, outputs[i])
            for at, (block, gradient, flow) in enumerate(zip(self._above, gradients, flows, strict=True)):
                squares = self._target.fitted(block, i, flow).double().square().sum(0)
                told = squares * self._walk.outgoing(block).double().square().mean(0)
                predicted = gradient.double().square().sum((0, 1)) / 2
                score = predicted + weight * told.view(-1, sizes[at]).sum(1)
                if i:
                    totals[at] += score
                else:
                    totals.append(score)
        return [total.cpu().numpy() for total in totals]

    def _passed(self, i: int, batch: Batch, outputs: Tensor) -> tuple[tuple[Tensor, ...], list[Tensor]]:
        """Return derivatives by units' factors, `(B, 1, n)`, and what units give, sublayer by sublayer."""
        architecture, weights = self._architecture, self._walk.weights
        x, factors, flows = self._walk.state(i).clone(), [], []
        with torch.inference_mode(False), torch.enable_grad():
            for block in self._above:
                if block.kind == "attention":
                    units = attention_context(
                        architecture, weights, block.layer, x, batch.attention_mask, 0.0, first_only=block.first_only
                    )
                    assert units is not None
                    x, size = x[:, : units.shape[1]], architecture.head_size
                else:
                    units, size = neuron_outputs(architecture, weights, block.layer, x), 1
                flows.append(units.detach())
                factors.append(units.new_ones(len(x), 1, units.shape[2] // size).requires_grad_())
                gated = units * factors[-1].repeat_interleave(size, dim=2)
                total = linear(weights, block.outgoing, gated) + x
                x = settled(architecture, weights, f"{block.layer}.{block.kind}_norm", total)
            keep = batch.attention_mask
            counts = text_lengths(architecture, x, keep)
            found = classify(architecture, weights, what_is_read(architecture, x, keep), counts=counts)
            loss = self._kind.soft_loss(found, self._drawn(outputs), batch, TEMPERATURE) * len(batch)
            return torch.autograd.grad(loss, factors), flows

    def _drawn(self, outputs: Tensor) -> Tensor:
        """Return outputs that a soft loss takes for labels drawn from the soft ones, or for numbers with noise."""
        if self._kind.name == "regression":
            return outputs + torch.randn(outputs.shape, generator=self._draw).to(outputs)
        uniform = torch.rand(outputs.shape, generator=self._draw).clamp(1e-9, 1 - 1e-7)
        # The largest of logits with Gumbel noise is a draw from their softmax, whatever is normalised over.
        return (outputs / TEMPERATURE - torch.log(-torch.log(uniform)).to(outputs)) * _SHARP


def _best(
    above: Sequence[Block],
    worth: Sequence[NDArray[np.float64]],
    kept: dict[str, NDArray[np.bool_]],
    share: Cost,
    density: float,
    hidden: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Return which units of the first of some blocks stay: as many of all as fit beside what is below, the best first.

    Args:
        above: blocks that are open.
        worth: of their units.
        kept: of each kind `(L, n)`, what the blocks below keep.
        share: from a mask to its density.
        density: most it may be.
        hidden: of the mask.
    """
    flat, owner = np.concatenate(worth), np.repeat(np.arange(len(above)), [len(part) for part in worth])
    order = np.argsort(-flat, kind="stable")
    first = np.array([order[np.argmax(owner[order] == at)] for at in range(len(above))])  # each block keeps its best
    order = np.concatenate([first, order[~np.isin(order, first)]])

    def mask(count: int) -> SubnetMask:
        chosen = np.zeros(len(flat), bool)
        chosen[order[:count]] = True
        parts = {kind: rows.copy() for kind, rows in kept.items()}
        for at, block in enumerate(above):
            parts[block.kind][block.layer] = chosen[owner == at]
        return SubnetMask(parts["attention"], parts["ffn"], hidden)

    fitting, most = len(above), len(flat)
    while fitting < most:
        middle = (fitting + most + 1) // 2
        fitting, most = (middle, most) if share(mask(middle)) <= density else (fitting, middle - 1)
    found = mask(fitting)
    return (found.heads if above[0].kind == "attention" else found.neurons)[above[0].layer]


def _cut(walk: BlockWalk, block: Block, kept: NDArray[np.bool_], head_size: int) -> None:
    """Take units out of a walk's next block."""
    weights, device = walk.weights, walk.outgoing(block).device
    columns = torch.from_numpy(np.repeat(kept, head_size) if block.kind == "attention" else kept).to(device)
    rows = columns.repeat(len(weights[f"{block.incoming}.weight"]) // len(columns))  # of what lies one below the other
    for key in ("weight", "bias"):
        if f"{block.incoming}.{key}" in weights:
            weights[f"{block.incoming}.{key}"] = weights[f"{block.incoming}.{key}"][rows]
    weights[f"{block.outgoing}.weight"] = walk.outgoing(block)[:, columns]
    biases = f"{block.layer}.relative_bias.weight"
    if block.kind == "attention" and biases in weights:
        weights[biases] = weights[biases][:, torch.from_numpy(kept).to(device)]
