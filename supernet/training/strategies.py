"""Which subnetworks a training step runs, and what each learns from: functions from a step to passes.

Source: Klein et al., TMLR 2024, section 3, as their experiments had it, but for `distil`. The losses of a step's passes
are added up and one optimiser step follows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...search_space import SearchSpace, SubnetMask
from ...search_space.spaces import Points

Target = Literal["labels", "teacher", "finetuned"]
Sampler = Callable[[int, np.random.Generator], Points]


@dataclass(frozen=True)
class Pass:
    """One forward and backward pass: a subnetwork and what it learns from.

    `labels` is the task's loss; `teacher` the distillation loss against the whole network's outputs on the same batch,
    as it is by then, and `finetuned` against those it had before the training.
    """

    mask: SubnetMask
    target: Target


@dataclass(frozen=True)
class Step:
    """What a strategy may look at.

    Attributes:
        index, total: the step's number from 0, and how many there are.
        space: where subnetworks come from.
        sampler: draws `(n, d)` points of the space.
        rng: seeded by the step, the same on every process.
        k: random subnetworks per step.
    """

    index: int
    total: int
    space: SearchSpace
    sampler: Sampler
    rng: np.random.Generator
    k: int

    @property
    def largest(self) -> SubnetMask:
        """The whole network."""
        return self.space.mask(self.space.largest)

    @property
    def smallest(self) -> SubnetMask:
        """The smallest subnetwork that the sandwich rule trains."""
        return self.space.mask(self.space.smallest)

    def random(self, target: Target) -> list[Pass]:
        """Draw k subnetworks."""
        return [Pass(self.space.mask(x), target) for x in self.sampler(self.k, self.rng)]

    def by_chance(self) -> bool:
        """Be true with a probability that grows linearly from 0 at the first step to 1 at the last."""
        chance = self.index / (self.total - 1) if self.total > 1 else 1.0
        return bool(self.rng.uniform() < chance)


Strategy = Callable[[Step], list[Pass]]


def standard(step: Step) -> list[Pass]:
    """Train the whole network only: plain fine-tuning."""
    return [Pass(step.largest, "labels")]


def random(step: Step) -> list[Pass]:
    """Train k random subnetworks on the labels."""
    return step.random("labels")


def random_linear(step: Step) -> list[Pass]:
    """Train random subnetworks with a probability that grows over the training, else the whole network."""
    return step.random("labels") if step.by_chance() else standard(step)


def sandwich(step: Step) -> list[Pass]:
    """Train the largest, the smallest and k random subnetworks, all on the labels."""
    return [Pass(step.largest, "labels"), Pass(step.smallest, "labels"), *step.random("labels")]


def inplace_kd(step: Step) -> list[Pass]:
    """Distil the whole network, untrained in that step, into random ones with a growing probability, else train it."""
    return step.random("teacher") if step.by_chance() else standard(step)


def full(step: Step) -> list[Pass]:
    """Train the largest on the labels and distil it, as it is in this step, into the smallest and k random ones."""
    return [Pass(step.largest, "labels"), Pass(step.smallest, "teacher"), *step.random("teacher")]


def distil(step: Step) -> list[Pass]:
    """Distil the fine-tuned model into the largest and k random subnetworks.

    Not the paper's: the teacher does not move with the weights that it teaches, so that they may move fast, and no pass
    goes to a smallest network that can carry nothing.
    """
    return [Pass(step.largest, "finetuned"), *step.random("finetuned")]


STRATEGIES: dict[str, Strategy] = {
    function.__name__: function for function in (standard, random, random_linear, sandwich, inplace_kd, full, distil)
}
FINETUNED_TEACHES = frozenset({"distil"})  # those with such passes: the weights before the training are held for them
