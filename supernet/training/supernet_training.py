"""Stage one: train all subnetworks together, resumable at any moment."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from ...errors import unknown_name
from ...search_space import SearchSpace, SubnetMask
from ...tasks.batches import Batch, batches_per_epoch, collate, shares, training_order
from ...tasks.kinds import Kind
from ...tasks.task import Task
from ..encoder import NO_DROPOUT
from ..precision import resolve_precision
from ..supernet import Subnet, Supernet
from .checkpoint import Checkpoint, SaveClock
from .divergence import check_loss, check_trained
from .settings import SupernetSettings
from .step import GradientStep
from .strategies import FINETUNED_TEACHES, STRATEGIES, Pass, Step

# What the fine-tuned model says of the texts that it was trained on is near certain: at 10 little is left of the rest.
_TEMPERATURE, _PAPERS_TEMPERATURE = 2.0, 10.0


@dataclass(frozen=True)
class Progress:
    """Where a training is.

    Attributes:
        done: steps, of `total`.
        total: of all attempts.
        loss: the last step's, over all its passes.
        note: what else to say.
        numbers: what else can be drawn over the steps.
        phase: of a method that trains several times: which time; steps are counted anew in each.
    """

    done: int
    total: int
    loss: float
    note: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)
    phase: str = ""


def train_supernet(
    supernet: Supernet,
    space: SearchSpace,
    task: Task,
    settings: SupernetSettings,
    *,
    seed: int,
    state: Path | None = None,
    report: Callable[[Progress], None] | None = None,
) -> None:
    """Train a supernet in place.

    Everything random follows from the seed and the number of the step, so a training that was killed and resumed from
    `state` ends with the same weights, bit for bit on a CPU with the same number of threads. With several processes
    (`torchrun`, `accelerate launch`) each takes its share of every batch, and gradients are averaged once per step.

    Args:
        supernet: what to train.
        space: where subnetworks are drawn from.
        task: its training split.
        settings: the recipe.
        seed: of batches, subnetworks and dropout.
        state: folder for resume points, resumed from where it has one; the caller removes it after the stage.
        report: called after each step.

    Raises:
        InputError: an unknown strategy, or a resume point that cannot be read.
        Diverged: a number that is not finite.
    """
    loop = TrainingLoop(supernet, space, task, settings, seed=seed)
    checkpoint = Checkpoint(loop.accelerator, supernet, loop.optimizer, state)
    first, clock = checkpoint.load(), SaveClock(settings.save_seconds)
    for index, rows in batch_rows(task, settings.batch_size, seed, first, loop.total):
        loss = loop.step(index, rows)
        check_loss(loss, index + 1, loop.total, settings.learning_rate)
        if report:
            rate = loop.optimizer.param_groups[0]["lr"]
            report(Progress(index + 1, loop.total, loss, numbers={"learning_rate": rate}))
        if state and index + 1 < loop.total and clock.due():
            checkpoint.save(index + 1)
            clock.restart()
    loop.close()
    batch = collate(task.train, np.arange(min(settings.batch_size, len(task.train))), task.pad_token_id)
    whole = supernet.subnet(SubnetMask.full(supernet.shape))
    batch = batch.to(supernet.device)
    outputs = whole.outputs(batch.input_ids, batch.attention_mask, batch.token_type_ids)
    check_trained(supernet.model, outputs, loop.total, settings.learning_rate)


class TrainingLoop:
    """Optimiser steps over subnetworks; what happens in a step follows from the seed and the step's number alone.

    Args:
        supernet: trained in place, in float32 whatever its checkpoint's precision, on the accelerator's device.
        space: where subnetworks are drawn from.
        task: its training split.
        settings: the recipe.
        seed: of subnetworks and dropout.

    Raises:
        InputError: an unknown strategy.
    """

    def __init__(
        self, supernet: Supernet, space: SearchSpace, task: Task, settings: SupernetSettings, *, seed: int
    ) -> None:
        if settings.strategy not in STRATEGIES:
            raise unknown_name("strategy", settings.strategy, STRATEGIES)
        self._strategy = STRATEGIES[settings.strategy]
        self._sampler = space.sample_by_size if settings.sampling == "size" else space.sample
        self._space, self._task, self._settings, self._seed = space, task, settings, seed
        supernet.model.config.problem_type = task.kind.problem_type
        # Without the hint each of several processes on a machine of CPUs would take itself for the only one.
        self.accelerator = Accelerator(cpu=not torch.accelerator.is_available())
        # Small updates are lost in a shorter precision than float32.
        supernet.model.to(self.accelerator.device, torch.float32)  # pyright: ignore[reportCallIssue, reportArgumentType]
        precision = resolve_precision(settings.precision, self.accelerator.device)
        # Taken before a resume point is loaded: the model as it is handed in is the fine-tuned one.
        self._finetuned = _copied(supernet, precision) if settings.strategy in FINETUNED_TEACHES else None
        self._gradients = GradientStep(supernet, precision)
        self.optimizer = torch.optim.AdamW(
            parameter_groups(supernet, settings.weight_decay), lr=settings.learning_rate, fused=True
        )
        self.total = settings.total_steps(batches_per_epoch(task.train, settings.batch_size) * settings.batch_size)

    def step(self, index: int, rows: np.ndarray) -> float:
        """Take optimiser step `index` on the texts at `rows` `(B,)`; return the loss summed over its passes."""
        settings, accelerator = self._settings, self.accelerator
        step = Step(
            index, self.total, self._space, self._sampler, np.random.default_rng([self._seed, 1, index]), settings.k
        )
        dropout_seed = np.random.default_rng([self._seed, 2, index, accelerator.process_index]).integers(2**62)
        torch.manual_seed(int(dropout_seed))
        share = _share(self._task, rows, accelerator)
        loss = _accumulate(self._gradients, self._strategy(step), share, settings, self._task.kind, self._finetuned)
        _average(self._gradients, accelerator)
        if settings.clip:
            self._clip(settings.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * learning_rate_factor(index, self.total, settings.warmup)
        self.optimizer.step()
        return loss

    def _clip(self, largest: float) -> None:
        # The fused optimiser divides gradients by `grad_scale` as it reads them (made for loss scaling): scaling them
        # beforehand would be one more pass over all parameters.
        norm = self._gradients.norm()
        scale, finite = (norm / largest).clamp(min=1.0), torch.zeros_like(norm)
        vars(self.optimizer).update(grad_scale=scale, found_inf=finite)

    def close(self) -> None:
        """Free the gradients."""
        for parameter in self._gradients.parameters.values():
            parameter.grad = None


def parameter_groups(supernet: Supernet, weight_decay: float) -> list[dict[str, object]]:
    """Split the trainable parameters into matrices, which decay, and vectors (biases, LayerNorms), which do not."""
    trained = [p for p in supernet.model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim == 1], "weight_decay": 0.0},
    ]


def learning_rate_factor(step: int, total: int, warmup: float) -> float:
    """Return the share of the peak rate at a step: a linear rise over `warmup * total` steps, then linearly to 0."""
    rise = round(warmup * total)
    if step < rise:
        return (step + 1) / (rise + 1)
    return (total - step) / max(1, total - rise)


def batch_rows(task: Task, batch_size: int, seed: int, first: int, total: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (step, positions of its texts) from step `first` to `total`."""
    rows = TrainingRows(task, batch_size, seed)
    return ((step, rows[step]) for step in range(first, total))


class TrainingRows:
    """Which texts each step of a training looks at: positions in the training split, by the step's number.

    Each epoch has an order of its own, which the seed draws; only that of the last one asked for is held.

    Args:
        task: its training split.
        batch_size: texts of a step.
        seed: of the orders.
    """

    def __init__(self, task: Task, batch_size: int, seed: int) -> None:
        self._task, self._batch_size, self._seed = task, batch_size, seed
        self._per_epoch = batches_per_epoch(task.train, batch_size)
        self._epoch, self._order = -1, list[np.ndarray]()

    def __getitem__(self, step: int) -> np.ndarray:
        epoch, offset = divmod(step, self._per_epoch)
        if epoch != self._epoch:
            rng = np.random.default_rng([self._seed, 0, epoch])
            self._epoch, self._order = epoch, training_order(self._task.train, batch_size=self._batch_size, rng=rng)
        return self._order[offset]


@dataclass(frozen=True)
class _Share:
    """One process's part of a batch, on its device, and what its mean counts in the average over processes."""

    batch: Batch | None
    weight: float


def _share(task: Task, rows: np.ndarray, accelerator: Accelerator) -> _Share:
    parts = shares(task.train, rows, accelerator.num_processes)
    if accelerator.process_index >= len(parts):  # fewer texts than processes
        return _Share(None, 0.0)
    mine = parts[accelerator.process_index]
    batch = collate(task.train, mine, task.pad_token_id).to(accelerator.device)
    terms = task.kind.terms
    return _Share(batch, terms(task.train, mine) * accelerator.num_processes / terms(task.train, rows))


def _copied(supernet: Supernet, dtype: torch.dtype) -> Subnet:
    whole = Supernet(copy.deepcopy(supernet.model))
    return whole.subnet(SubnetMask.full(whole.shape), dtype)


def _accumulate(
    gradients: GradientStep,
    passes: list[Pass],
    share: _Share,
    settings: SupernetSettings,
    kind: Kind,
    finetuned: Subnet | None,
) -> float:
    """Run a step's passes, leave the sum of their gradients in the parameters, return their summed loss."""
    batch = share.batch
    if batch is None:
        for gradient in gradients.gradients.values():
            gradient.zero_()
        return 0.0
    supernet = gradients.supernet
    whole = SubnetMask.full(supernet.shape)
    teacher: Tensor | None = None
    taught: Tensor | None = None
    losses: list[Tensor] = []
    temperature = settings.temperature or (_PAPERS_TEMPERATURE if finetuned is None else _TEMPERATURE)
    inputs = batch.input_ids, batch.attention_mask, batch.token_type_ids
    gradients.begin(*inputs)
    if finetuned is not None:
        taught = finetuned.outputs(*inputs).clone()  # what inference mode gave cannot take part in a backward pass
    for one in passes:
        is_whole = one.mask == whole
        dropout = supernet.dropout if settings.dropout == "all" else NO_DROPOUT
        if settings.dropout == "largest" and is_whole:
            dropout = supernet.dropout
        if one.target == "teacher" and teacher is None:
            teacher = gradients.predict(whole, supernet.dropout if settings.dropout != "none" else NO_DROPOUT)
        target = {"labels": None, "teacher": teacher, "finetuned": taught}[one.target]

        def loss(outputs: Tensor, target: Tensor | None = target) -> Tensor:
            if target is None:
                value = kind.loss(outputs, batch)
            else:
                value = kind.distillation(
                    outputs, target, batch, temperature=temperature, label_weight=settings.label_weight
                )
            losses.append(value.detach())
            return value * share.weight if share.weight != 1.0 else value

        outputs = gradients.run(one.mask, loss, dropout)
        if is_whole:
            teacher = outputs
    gradients.finish()
    return float(torch.stack(losses).sum())


def _average(gradients: GradientStep, accelerator: Accelerator) -> None:
    # One reduction after all passes, rather than a distributed wrapper whose hooks fire in whichever pass comes last:
    # synchronising on a subnetwork's pass would silently leave out what it does not use.
    if accelerator.num_processes > 1:
        for gradient in gradients.gradients.values():
            gradient.copy_(accelerator.reduce(gradient, reduction="mean"))  # pyright: ignore[reportArgumentType]
        gradients.forget_rows()
