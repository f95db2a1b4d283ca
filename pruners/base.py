"""What a pruner is: from a supernet, a task and a density to a smaller model."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
from transformers import PreTrainedModel

from ..errors import InputError
from ..evaluation.latency import LatencyTarget
from ..search_space import EncoderShape, SubnetMask
from ..supernet import Supernet
from ..supernet.training.supernet_training import Progress
from ..tasks import Task

# What a subnetwork costs: any number that does not shrink when more is kept.
Cost = Callable[[SubnetMask], float]
T = TypeVar("T")
Recovery = Literal["none", "refit", "native"]


@dataclass(frozen=True)
class Provenance:
    """How a pruned model came about; what it cost is counted in full.

    Attributes:
        method: the pruner's name.
        options: its settings, JSON-ready.
        texts: training texts it looked at, each counted once.
        labels: how many of their labels it used.
        gradients: whether it needed a backward pass.
        epochs: passes over the training split to train what was left; 0 without retraining.
        seconds: all of it.
    """

    method: str
    options: dict[str, float | int | str | bool]
    texts: int
    labels: int
    gradients: bool
    epochs: float
    seconds: float


@dataclass(frozen=True)
class Pruned:
    """What a pruner made.

    Attributes:
        mask: what it keeps of the supernet's units; all of them for a method that removes single weights.
        model: the smaller model, independent, in evaluation mode, scales folded into its weights.
        density: what it keeps of the measure that the budget was in, 0 to 1.
        provenance: how.
    """

    mask: SubnetMask
    model: PreTrainedModel
    density: float
    provenance: Provenance


@dataclass(frozen=True)
class Outcome:
    """What a method's own steps come to; the rest of :class:`Pruned` follows from it.

    Attributes:
        mask, model: as there.
        options: its settings, JSON-ready.
        texts: training texts it looked at, each counted once.
        epochs: passes over the training split to train what was left; 0 without retraining.
        density: as there; what the mask keeps of the cost if None.
    """

    mask: SubnetMask
    model: PreTrainedModel
    options: Mapping[str, float | int | str | bool]
    texts: int
    epochs: float = 0.0
    density: float | None = None


class Pruner:
    """A method that yields a subnetwork without a search.

    A block (attention or feed-forward) is never emptied by a method that scores units: here an empty block is bypassed
    with its LayerNorm, which without retraining costs far more than the one head or neuron that is kept instead. Only
    where what a missing block does was measured it may go.

    A method writes `_make`, its own steps; :meth:`prune` is the frame around them.

    Args:
        cost: what a density is a share of; the encoder's parameters if None.

    Attributes:
        name: in PRUNERS and in archives.
        recovery: `none`; `refit` for a method that solves for outgoing maps anew and trains nothing; `native` for one
            whose own recipe trains what is left.
        needs_labels, needs_gradients: what it cannot do without.
        makes_zeros: it leaves all units and sets weights to zero: a density is a share of the non-zero weights.
        has_latency: its models may be faster than the whole one, so that measuring them tells something.
    """

    name: str
    recovery: ClassVar[Recovery] = "none"
    needs_labels: bool = False
    needs_gradients: bool = False

    makes_zeros: ClassVar[bool] = False
    has_latency: ClassVar[bool] = True

    def __init__(self, *, cost: Cost | None = None) -> None:
        self._cost = cost
        self._known: tuple[object, Task, int, Any, float] | None = None
        self._spared = 0.0  # seconds of steps of this call that an earlier one did

    def prune(self, supernet: Supernet, task: Task, density: float, rng: np.random.Generator) -> Pruned:
        """Return the model of at most that density.

        Args:
            supernet: the fine-tuned model; left as it is.
            task: its training split is what a method may look at.
            density: share of the whole network's cost to keep, above 0 and at most 1.
            rng: of everything random.

        Raises:
            InputError: a density out of range or below :meth:`floor`, or a task that the method cannot prune for.
        """
        self.check(supernet, density)
        self._spared, begin = 0.0, time.perf_counter()
        made = self._make(supernet, task, density, rng)
        seconds = self._spared + time.perf_counter() - begin
        reached = self.density_of(supernet, made.mask) if made.density is None else made.density
        labels = made.texts if self.needs_labels and not task.answered else 0
        gradients, options = self.needs_gradients, dict(made.options)
        provenance = Provenance(self.name, options, made.texts, labels, gradients, made.epochs, seconds)
        return Pruned(made.mask, made.model, reached, provenance)

    def _make(self, supernet: Supernet, task: Task, density: float, rng: np.random.Generator) -> Outcome:
        """Return what the method's own steps come to; takes and raises what :meth:`prune` does."""
        raise NotImplementedError(f"{type(self).__name__} has no steps of its own; write `_make`")

    def _once(self, model: object, task: Task, seed: int, step: Callable[[], T]) -> T:
        """Return the result of a step that no density matters to.

        A call for another density, with the same model, task and seed, gets the same result without doing the step
        again; its seconds count for each, as if it were the only one.
        """
        known = self._known
        if known is None or known[0] is not model or known[1] is not task or known[2] != seed:
            begin = time.perf_counter()
            known = self._known = (model, task, seed, step(), time.perf_counter() - begin)
        else:
            self._spared += known[4]
        return known[3]

    def floor(self, supernet: Supernet) -> float:
        """Return the least density the method can reach on this model: one head and one neuron in each block."""
        ones = [1] * supernet.shape.num_layers
        return self.density_of(supernet, SubnetMask.from_counts(supernet.shape, ones, ones))

    def cost_of(self, shape: EncoderShape) -> Cost:
        """Return what a density is a share of."""
        return self._cost or (lambda mask: float(mask.encoder_parameters(shape)))

    def share(self, shape: EncoderShape) -> Cost:
        """Return the function from a mask to its density: its share of the whole network's cost."""
        cost = self.cost_of(shape)
        full = cost(SubnetMask.full(shape))
        return lambda mask: cost(mask) / full

    def density_of(self, supernet: Supernet, mask: SubnetMask) -> float:
        """Return a subnetwork's share of the whole network's cost."""
        return self.share(supernet.shape)(mask)

    def check(self, supernet: Supernet, density: float) -> None:
        """Refuse a density that the method cannot reach.

        Raises:
            InputError: it is out of range, or below the floor.
        """
        if not 0 < density <= 1:
            raise InputError(f"a density is a share above 0 and at most 1, got {density:g}; give one such as 0.6")
        floor = self.floor(supernet)
        if density < floor:
            raise InputError(
                f"{self.name} cannot go below a density of {floor:.3f} on this model, got {density:g}; give a larger "
                "one or choose another method"
            )


class TrainedPruner(Pruner):
    """A method whose own recipe trains what is left; a training that was killed goes on where it was.

    Args:
        rewind: see below.
        state: see below.
        report: see below.
        cost: must be None where `why_no_cost` says so: a density of such a method is a share of parameters or weights.

    Attributes:
        rewind: the model whose weights are trained, such as the one the run began with; the fine-tuned one's if None.
            Left as it is.
        state: folder for resume points, removed by the caller; the same `rng` must come with it.
        report: called after each step.
        why_no_cost: begins the sentence that refuses another cost; empty where any will do.
        rewinds: whether the recipe asks for a model to rewind to.

    Raises:
        InputError: a cost.
    """

    recovery: ClassVar[Recovery] = "native"
    why_no_cost: ClassVar[str]
    rewinds: ClassVar[bool] = False

    def __init__(
        self,
        *,
        rewind: PreTrainedModel | None = None,
        state: Path | None = None,
        report: Callable[[Progress], None] | None = None,
        cost: Cost | None = None,
    ) -> None:
        super().__init__(cost=cost)
        if cost is not None and self.why_no_cost:
            raise InputError(
                f"{self.why_no_cost}, so that its density cannot be a share of another cost; leave the cost out"
            )
        self.rewind, self.state, self.report = rewind, state, report

    def prepare(self, own: Path, shared: Path, target: LatencyTarget) -> None:
        """Take where resume points go, and what models are to run on.

        Args:
            own: a folder of this training and no other.
            shared: one that trainings share which differ in their density only.
            target: what models are timed for.
        """
        self.state = own

    def _seen(self, task: Task, epochs: float) -> int:
        """Return how many texts of the training split so many passes see, each counted once."""
        return round(min(1.0, epochs) * len(task.train))

    def _start(self, supernet: Supernet) -> PreTrainedModel:
        """Return a copy of the model whose weights are to be trained, in float32, in evaluation mode.

        Raises:
            InputError: a model to rewind to that is not the fine-tuned one's.
        """
        source = self.rewind or supernet.model
        sizes, expected = (
            {name: tuple(p.shape) for name, p in model.named_parameters()} for model in (source, supernet.model)
        )
        if sizes != expected:
            raise InputError(
                "rewinding needs the very model that was fine-tuned, but this one has other parameters; give the one "
                "the run began with"
            )
        return copy.deepcopy(source).to(supernet.device).float().eval()  # pyright: ignore[reportArgumentType, reportCallIssue]
