"""CoFi's training: distil, learn masks on a rising target, fold them, train what is left; resumable at any moment."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...evaluation.model_error import model_error
from ...search_space import SubnetMask
from ...supernet import Supernet
from ...supernet.extraction import extract
from ...supernet.precision import resolve_precision
from ...supernet.training.checkpoint import SaveClock, damaged, last_checkpoint, publish
from ...supernet.training.divergence import check_loss, check_trained
from ...supernet.training.resume_files import load_optimizer, load_state, save_optimizer, save_state
from ...supernet.training.step import GradientStep, Slices
from ...supernet.training.supernet_training import Progress, batch_rows, learning_rate_factor, parameter_groups
from ...tasks import Task
from ...tasks.batches import Batch, collate
from .folding import fold, fold_embedded, fold_into
from .layers import layer_loss, surviving_layers
from .masks import MaskValues, clamp, final_values, new_logits, sampled
from .passes import Seen, Teacher, run
from .settings import CoFiSettings, Schedule
from .sparsity import Lagrangian, check_sparsity, expected_sparsity

_CLIP = 1.0  # largest norm of the weights' gradient
# Multipliers and logits, two integrators in a row, swing about the target, and with momentum much wider.
_NO_MOMENTUM = (0.0, 0.99)
_DROPOUT, _MASKS, _LOGITS = 2, 4, 5  # what a seed is drawn for; `batch_rows` draws for 0


@dataclass(frozen=True)
class _Moment:
    """The student at a moment of the last phase: its error on the selection split, and what is trained of it."""

    error: float
    tensors: dict[str, Tensor]


class CoFiTraining:
    """Optimiser steps of the three phases; what happens in a step follows from the seed and the step's number alone.

    In the last phase the student is scored on the selection split at equal shares of its steps, and in the end has the
    weights of the best of these moments, of equal ones the last. The authors keep the best of the split that they
    report.

    Args:
        student: trained in place, in float32; its embedding tables are frozen. In the end its weights are those of the
            pruned model, masks multiplied in.
        teacher: the fine-tuned model; left as it is.
        task: its training split, and its selection split if that has labels.
        density: largest share of the encoder's parameters.
        settings: the recipe.
        seed: of batches, masks and dropout.
    """

    def __init__(
        self, student: Supernet, teacher: Supernet, task: Task, density: float, settings: CoFiSettings, *, seed: int
    ) -> None:
        self.schedule = Schedule.of(settings, len(task.train))
        self._student, self._task, self._density = student, task, density
        self._settings, self._seed = settings, seed
        for path in student.embeddings.tables:
            student.parameters[f"{path}.weight"].requires_grad_(False)
        dtype, device = resolve_precision(settings.precision, student.device), student.device
        self._states = settings.distillation == "layers"
        self._teacher = None if settings.distillation == "none" else Teacher(teacher, dtype, states=self._states)
        self._gradients = GradientStep(student, dtype)
        self.logits = new_logits(student.shape, self._generator(_LOGITS, 0), device)
        self._lagrangian = Lagrangian(self.sparsity, 1 - density, self.schedule.rise, device)
        self._layer_map = torch.eye(student.shape.hidden_size, device=device, requires_grad=True)
        self._weights_optimizer = self._new_weights_optimizer()
        multipliers = {"params": [self._lagrangian.multipliers], "lr": settings.multiplier_learning_rate}
        self._others = torch.optim.AdamW(
            [
                {"params": list(self.logits), "lr": settings.mask_learning_rate, "betas": _NO_MOMENTUM},
                {**multipliers, "maximize": True, "betas": _NO_MOMENTUM},
                {"params": [self._layer_map]},
            ],
            weight_decay=0.0,
        )
        self._final: SubnetMask | None = None
        self._best: _Moment | None = None
        unlabelled = not len(task.selection) or task.kind.unlabelled(task.selection)
        self._checked = set() if unlabelled else self.schedule.moments(settings.checks)

    def run(self, state: Path | None, report: Callable[[Progress], None] | None) -> SubnetMask:
        """Take all steps that a checkpoint in `state` does not have already; return what is kept.

        Raises:
            InputError: a checkpoint that cannot be read, or a sparsity that does not come to its target.
            Diverged: a number that is not finite.
        """
        first, clock = self._load(state), SaveClock(self._settings.save_seconds)
        total = self.schedule.total
        for index, rows in batch_rows(self._task, self._settings.batch_size, self._seed, first, total):
            if index == self.schedule.pruned:
                self._settle()
            loss, note, numbers = self._step(index, rows)
            # With the sparsity, which the masks are trained on beside the loss.
            check_loss(sum(numbers.values(), loss), index + 1, total, self._settings.learning_rate)
            if index + 1 in self._checked:
                numbers |= {"selection_error": self._check()}
            if report:
                report(Progress(index + 1, total, loss, note, numbers))
            if state and (index + 1 == self.schedule.pruned or (index + 1 < total and clock.due())):
                self._save(state, index + 1)
                clock.restart()
        if self._final is None:
            self._settle()
        for parameter in self._gradients.parameters.values():
            parameter.grad = None
        if self._best is not None:
            with torch.no_grad():
                for name, tensor in self._best.tensors.items():
                    self._student.parameters[name].copy_(tensor)
        assert self._final is not None
        self._check_trained()
        return self._final

    def _check_trained(self) -> None:
        """Refuse a student whose weights or outputs are no numbers.

        Raises:
            Diverged: they are not.
        """
        student, task, rows = (
            self._student,
            self._task,
            np.arange(min(self._settings.batch_size, len(self._task.train))),
        )
        batch = collate(task.train, rows, task.pad_token_id).to(student.device)
        assert self._final is not None
        outputs = student.subnet(self._final).outputs(batch.input_ids, batch.attention_mask, batch.token_type_ids)
        check_trained(student.model, outputs, self.schedule.total, self._settings.learning_rate)

    @property
    def sparsity(self) -> float:
        """The expected one, as the masks are now."""
        with torch.no_grad():
            return float(expected_sparsity(self.logits, self._student.shape))

    def _check(self) -> float:
        """Return the student's error on the selection split; remember its weights if none before had a lower one."""
        assert self._final is not None
        task, model = self._task, extract(self._student.model, self._final)
        error = model_error(
            model, task.selection, task.metric, pad_token_id=task.pad_token_id, dtype=self._gradients.dtype
        )
        if self._best is None or math.isnan(self._best.error) or error <= self._best.error:
            self._best = _Moment(error, {name: p.detach().clone() for name, p in self._trained().items()})
        return error

    def _trained(self) -> dict[str, Tensor]:
        return {name: p for name, p in self._student.parameters.items() if p.requires_grad}

    def _step(self, index: int, rows: np.ndarray) -> tuple[float, str, dict[str, float]]:
        """Take one optimiser step on the texts at `rows` `(B,)`; return its loss, what to say of it, and in numbers."""
        schedule, gradients, shape = self.schedule, self._gradients, self._student.shape
        batch = collate(self._task.train, rows, self._task.pad_token_id).to(self._student.device)
        prunes = schedule.distil <= index < schedule.pruned
        values = sampled(self.logits, self._generator(_MASKS, index)) if prunes else None
        mask = self._final or (SubnetMask.full(shape) if values is None else _full_width(values.kept()))
        torch.manual_seed(int(np.random.default_rng([self._seed, _DROPOUT, index]).integers(2**62)))
        gradients.begin(batch.input_ids, batch.attention_mask, batch.token_type_ids)
        slices = gradients.take(mask)
        loss = self._loss(self._run(slices, values, batch, mask), batch, mask)
        total, numbers, note = loss, {}, "distilling" if self._final is None else "training what is left"
        if values is not None:
            sparsity, step = expected_sparsity(self.logits, shape), index - schedule.distil
            total = loss + self._lagrangian.penalty(sparsity, step)
            numbers = {"sparsity": sparsity.item(), "target": self._lagrangian.target(step)}
            note = ", ".join(f"{name} {value:.3f}" for name, value in numbers.items())
        self._others.zero_grad()
        total.backward()
        gradients.collect(slices)
        gradients.finish()
        self._update(index)
        return loss.item(), note, numbers | {"learning_rate": self._weights_optimizer.param_groups[0]["lr"]}

    def _run(self, slices: Slices, values: MaskValues | None, batch: Batch, mask: SubnetMask) -> Seen:
        """Run the student, masks multiplied in where there are some."""
        student, weights, embedded = self._student, slices.weights, slices.embedded
        if values is not None:
            weights = fold(weights, slices.pieces, values, student)
            if not student.projected:
                embedded = fold_embedded(embedded, values, slices.columns)
        layers = surviving_layers(mask) if self._states else []
        return run(student, weights, embedded, batch, layers, student.dropout)

    def _loss(self, seen: Seen, batch: Batch, mask: SubnetMask) -> Tensor:
        settings, kind = self._settings, self._task.kind
        if self._teacher is None:
            return kind.loss(seen.outputs, batch)
        taught = self._teacher(batch)
        loss = kind.distillation(seen.outputs, taught.outputs, batch, temperature=settings.temperature)
        if not self._states:
            return loss
        layers = layer_loss(seen.states, taught.states, self._layer_map, mask, settings.matching)
        return settings.prediction_weight * loss + settings.layer_weight * layers

    def _update(self, index: int) -> None:
        settings, schedule = self._settings, self.schedule
        if self._final is None:
            rate = settings.learning_rate * learning_rate_factor(index, schedule.pruned, settings.warmup)
        else:
            factor = learning_rate_factor(index - schedule.pruned, schedule.final, settings.warmup)
            rate = settings.final_learning_rate * factor
        for group in (*self._weights_optimizer.param_groups, self._others.param_groups[2]):
            group["lr"] = rate
        # The fused optimiser divides by `grad_scale` as it reads, as in `supernet.training`.
        norm = self._gradients.norm()
        scale, finite = (norm / _CLIP).clamp(min=1.0), torch.zeros_like(norm)
        vars(self._weights_optimizer).update(grad_scale=scale, found_inf=finite)
        self._weights_optimizer.step()
        self._others.step()
        clamp(self.logits)

    def _settle(self) -> None:
        """Fix the masks, multiply them into the weights and begin to train what is left."""
        check_sparsity(self.sparsity, self._density)
        values = final_values(self.logits, self._student.shape, self._density)
        fold_into(self._student, values)
        self._final = values.kept()
        self._weights_optimizer = self._new_weights_optimizer()

    def _new_weights_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(parameter_groups(self._student, self._settings.weight_decay), fused=True)

    def _generator(self, purpose: int, step: int) -> torch.Generator:
        seed = np.random.default_rng([self._seed, purpose, step]).integers(2**62)
        return torch.Generator().manual_seed(int(seed))

    def _learnt(self) -> dict[str, Tensor]:
        """Everything that is trained beside the student's weights, and these."""
        masks = {f"masks.{number}": part for number, part in enumerate(self.logits)}
        others = {"multipliers": self._lagrangian.multipliers, "layer_map": self._layer_map}
        return masks | others | {f"student.{name}": p for name, p in self._student.parameters.items()}

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"weights": self._weights_optimizer, "others": self._others}

    def _save(self, state: Path, step: int) -> None:
        """Write the state after `step` steps, then remove the one before."""
        temporary = state / "incomplete"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        save_state(temporary / "learnt", self._learnt(), {})
        for name, optimizer in self._optimizers().items():
            save_optimizer(temporary / name, optimizer)
        if self._best is not None:
            save_state(temporary / "best", self._best.tensors, {"error": self._best.error})
        publish(temporary, state, step)

    def _load(self, state: Path | None) -> int:
        """Restore the last state and return its step; 0 where there is none."""
        last = last_checkpoint(state)
        if last is None:
            return 0
        step = int(last.name.split("-")[1])
        try:
            learnt, _ = load_state(last / "learnt")
            with torch.no_grad():
                for name, tensor in self._learnt().items():
                    tensor.copy_(learnt[name])
            for name, optimizer in self._optimizers().items():
                load_optimizer(last / name, optimizer)
            if (last / "best.json").is_file():
                tensors, values = load_state(last / "best")
                self._best = _Moment(values["error"], tensors)
        except MemoryError:
            raise
        except Exception as error:  # a damaged file fails in many ways
            raise damaged(last, error) from error
        if step > self.schedule.pruned:
            self._final = final_values(self.logits, self._student.shape, self._density).kept()
        return step


def _full_width(mask: SubnetMask) -> SubnetMask:
    """Return the mask with all residual dimensions, of which those that are zero are multiplied by it.

    Their number changes from step to step; a library that compiles a kernel for each shape would compile in each.
    """
    return SubnetMask(mask.heads, mask.neurons, np.ones_like(mask.hidden))
