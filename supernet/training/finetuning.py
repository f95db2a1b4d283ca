"""Stage zero: fine-tune a pre-trained model on a task with the Hugging Face Trainer, resumable at any moment."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import broadcast
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from torch.utils.data import Dataset
from transformers import (
    PreTrainedModel,
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from ...tasks.batches import Batch, batches_per_epoch, collate, shares
from ...tasks.kinds import Kind
from ...tasks.task import Task
from ..heads import read_outputs
from ..precision import resolve_precision
from ..stored.labels import check_labels
from ..stored.storage import quiet
from .checkpoint import SaveClock, damaged, last_checkpoint, publish
from .divergence import check_loss, check_trained
from .safe_trainer import PARTS, SafeTrainer
from .settings import FinetuneSettings
from .supernet_training import Progress, TrainingRows
from .teacher import Teacher
from .time_limit import TimedRate

# With a teacher that is the same network fine-tuned on the same texts, its outputs are near certain: a temperature of 2
# keeps what it knows beside the label, as in CoFi's recipe; labels count as much as the teacher.
_TEMPERATURE, _LABEL_WEIGHT = 2.0, 1.0


def finetune(
    model: PreTrainedModel,
    task: Task,
    settings: FinetuneSettings,
    *,
    seed: int,
    state: Path | None = None,
    report: Callable[[Progress], None] | None = None,
    after_epoch: Callable[[int], bool] | None = None,
    teacher: np.ndarray | Teacher | None = None,
    minutes: float | None = None,
) -> int:
    """Fine-tune a model with the task's head in place; return the steps, over all attempts.

    Everything random follows from the seed, so a training that was killed and resumed from `state` ends with the same
    weights, bit for bit on a CPU with the same number of threads; not one that is to end in so many minutes. A head
    made anew is not drawn here: seed it where the model is loaded. With several processes (`torchrun`, `accelerate
    launch`) each takes its share of every batch. Parameters become float32; mode, attention and configuration are left
    as they were, but that the configuration says what outputs mean.

    Args:
        model: what to train.
        task: its training split.
        settings: the recipe.
        seed: of batches and dropout.
        state: folder for resume points, resumed from where it has one; the caller removes it after the stage.
        report: called after each step.
        after_epoch: called after each whole epoch with how many are done, the model being in evaluation mode and, but
            for its weights, as it was given; False ends the training. A resumed training calls it again for epochs
            whose end comes after its resume point; a resume point at an epoch's end is saved after the call. Random
            numbers that it draws from torch change nothing.
        teacher: outputs `(R, C)` on the training split, in its order: the model is distilled from them beside learning
            its labels (a regression from them alone). Or a larger model: then its hidden states count as well, as
            much as all else.
        minutes: end after so many, over all attempts, if the epochs have not: the rate has come down by then.

    Raises:
        ValueError: a teacher's outputs for other texts or labels.
        InputError: a model with labels other than the task's, or a resume point that cannot be read.
        Diverged: a number that is not finite.
    """
    check_labels(model.config, task)
    model.config.problem_type = task.kind.problem_type
    width = np.shape(task.train.labels)[1] if task.kind.head == "embedding" else model.config.num_labels
    expected = (int(task.train.output_counts.sum()), width)
    known = teacher if isinstance(teacher, np.ndarray) else None
    if known is not None and known.shape != expected:
        raise ValueError(f"a teacher's outputs on the training split have the shape {expected}, got {known.shape}")
    total = max(1, round(settings.epochs * batches_per_epoch(task.train, settings.batch_size)))
    with tempfile.TemporaryDirectory() as temporary, quiet(progress=False):
        arguments = _arguments(state or Path(temporary), settings, seed, total)
        precision = resolve_precision("auto", arguments.device)
        fast_bfloat16 = arguments.device.type == "cpu" and precision == torch.bfloat16
        attention = model.config._attn_implementation
        with _left_as_it_was(model, fast_bfloat16=fast_bfloat16):
            rows = TrainingRows(task, settings.batch_size, seed)
            shares = _Shares(task, rows, total, arguments.world_size, known)
            trainer = _Trainer(model.float(), arguments, train_dataset=shares, data_collator=_only)
            trainer.kind, trainer.precision = task.kind, precision
            trainer.teacher = teacher if isinstance(teacher, Teacher) else None
            if minutes is not None:
                trainer.timed = TimedRate(total, 60 * minutes, settings.warmup)
            trainer.remove_callback(PrinterCallback)
            watch = _Watch(trainer, state, settings, report)
            trainer.add_callback(watch)
            if after_epoch:
                per_epoch = batches_per_epoch(task.train, settings.batch_size)
                trainer.add_callback(_Epochs(trainer, per_epoch, after_epoch, attention))
            _train(trainer, watch, state)
        steps = trainer.state.global_step
        check_trained(model, _some_outputs(model, task, rows[steps - 1]), steps, settings.learning_rate)
        return steps


@torch.no_grad()
def _some_outputs(model: PreTrainedModel, task: Task, rows: np.ndarray) -> Tensor:
    """Return what a trained model makes of some training texts, dropout off."""
    batch, training = collate(task.train, rows, task.pad_token_id).to(model.device), model.training
    outputs = read_outputs(model.eval()(**batch.inputs), batch.attention_mask)
    model.train(training)
    return outputs


def _arguments(folder: Path, settings: FinetuneSettings, seed: int, total: int) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=total,
        per_device_train_batch_size=1,  # an item of the data set is a whole share of a batch
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        warmup_steps=round(settings.warmup * total),
        lr_scheduler_type="linear",
        max_grad_norm=1.0,
        optim="adamw_torch_fused",
        average_tokens_across_devices=False,
        ddp_find_unused_parameters=False,
        use_cpu=not torch.accelerator.is_available(),  # see TrainingLoop
        seed=int(np.random.default_rng([seed, 3]).integers(2**31)),
        eval_strategy="no",
        logging_strategy="no",
        save_strategy="no",  # but by the clock
        report_to="none",
        disable_tqdm=True,
        log_level="critical",
        log_level_replica="critical",
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def _train(trainer: _Trainer, watch: _Watch, state: Path | None) -> None:
    if state is not None and PartialState().is_main_process:
        for unfinished in state.glob("checkpoint-*"):
            shutil.rmtree(unfinished, ignore_errors=True)
    last = last_checkpoint(state)
    if last is None:
        trainer.train()
        return
    try:
        for part in PARTS:
            if not any(last.glob(part)):
                raise FileNotFoundError(part)
        trainer.train(resume_from_checkpoint=str(last))
    except MemoryError:
        raise
    except Exception as error:
        if watch.started:
            raise
        raise damaged(last, error) from error


@contextmanager
def _left_as_it_was(model: PreTrainedModel, *, fast_bfloat16: bool) -> Iterator[None]:
    """Restore what the Trainer changes beside the weights, and the attention that is chosen for speed.

    The backward pass of PyTorch's fused attention is slow in bfloat16 on a CPU: with MiniLM a step at 15, 64 and 128
    tokens takes 431, 952 and 1953 ms with it, 217, 743 and 1294 ms without (one thread, no attention dropout; with
    dropout, where PyTorch does not fuse, the gain is 5 to 12 %).
    """
    config, training, attention = model.config, model.training, model.config._attn_implementation
    cache = vars(config).get("use_cache")
    prepared = (
        "_is_accelerate_prepared"  # Accelerate's mark: it would not wrap a model that bears one for a second training
    )
    vars(model).pop(prepared, None)
    if fast_bfloat16:
        model.set_attn_implementation("eager")
    try:
        yield
    finally:
        vars(model).pop(prepared, None)
        model.zero_grad()
        model.train(training)
        if fast_bfloat16:
            model.set_attn_implementation(attention or "eager")
        if cache is None:
            vars(config).pop("use_cache", None)
        else:
            config.use_cache = cache


class _Trainer(SafeTrainer):
    """The Trainer on our loss, which does not depend on the configuration's idea of the problem."""

    kind: Kind
    precision = torch.float32
    teacher: Teacher | None = None
    timed: TimedRate | None = None
    loss = torch.tensor(0.0)

    def create_scheduler(self, num_training_steps: int, optimizer: Optimizer | None = None) -> LRScheduler:
        if self.timed is None:
            return super().create_scheduler(num_training_steps, optimizer)
        if self.lr_scheduler is None:
            self.lr_scheduler = LambdaLR(optimizer or self.optimizer, self.timed)  # pyright: ignore[reportArgumentType]
        return self.lr_scheduler  # pyright: ignore[reportReturnType]

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        weight, teacher = inputs.pop("weight"), inputs.pop("teacher", None)
        batch = Batch(
            inputs["input_ids"],
            inputs.get("token_type_ids"),
            inputs.get("attention_mask"),
            inputs.pop("labels"),
            inputs.pop("index").numpy(force=True),
            inputs.pop("groups", None),
        )
        if not self.kind.noisy and (teacher is not None or self.teacher is not None):
            model.eval()  # until the Trainer's next step
        # Here and not by the Trainer, which would leave the model's `forward` wrapped.
        with torch.autocast(weight.device.type, self.precision, enabled=self.precision != torch.float32):
            found = model(**inputs, output_hidden_states=self.teacher is not None)
            outputs, states = read_outputs(found, batch.attention_mask), 0.0
            if self.teacher is not None:
                teacher, states = self.teacher.teach(found.hidden_states, inputs)
        if teacher is None:
            loss = self.kind.loss(outputs, batch)
        else:
            loss = self.kind.distillation(outputs, teacher, batch, temperature=_TEMPERATURE, label_weight=_LABEL_WEIGHT)
        loss = loss + states
        self.loss = loss.detach()
        return loss * weight


class _Shares(Dataset[dict[str, Tensor]]):
    """What each process trains on in each step: the shares of a step one after another, in the order of the steps.

    All epochs are one list, so that a resumed Trainer skips to its step; its own length-grouped sampler would draw
    another order in each epoch after the first.
    """

    def __init__(self, task: Task, rows: TrainingRows, steps: int, processes: int, teacher: np.ndarray | None) -> None:
        self._task = task
        self._rows = rows
        self._steps = steps
        self._processes = processes
        self._teacher = teacher

    def __len__(self) -> int:
        return self._steps * self._processes

    def __getitem__(self, item: int) -> dict[str, Tensor]:
        step, process = divmod(item, self._processes)
        rows = self._rows[step]
        terms, train = self._task.kind.terms, self._task.train
        parts = shares(train, rows, self._processes)
        mine = parts[process % len(parts)]  # never empty, for each process must run a pass
        weight = terms(train, mine) * self._processes / terms(train, rows) if process < len(parts) else 0.0
        batch = collate(train, mine, self._task.pad_token_id)
        inputs = {
            "input_ids": batch.input_ids,
            "labels": batch.labels,
            "index": torch.from_numpy(batch.index),
            "weight": torch.tensor(weight),
        }
        if batch.token_type_ids is not None:
            inputs["token_type_ids"] = batch.token_type_ids
        if batch.attention_mask is not None:
            inputs["attention_mask"] = batch.attention_mask
        if batch.groups is not None:
            inputs["groups"] = batch.groups
        if self._teacher is not None:
            inputs["teacher"] = torch.from_numpy(self._teacher[train.outputs_at(mine)])
        return inputs


def _only(items: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return items[0]


class _Watch(TrainerCallback):
    """Looks at each step's loss, reports it, and saves by the clock.

    A checkpoint gets its final name when all of it is written.
    """

    def __init__(
        self,
        trainer: _Trainer,
        folder: Path | None,
        settings: FinetuneSettings,
        report: Callable[[Progress], None] | None,
    ) -> None:
        self.started = False
        self._rate = self._begin = 0.0
        self._trainer = trainer
        self._folder = folder
        self._peak = settings.learning_rate
        self._clock = SaveClock(settings.save_seconds)
        self._report = report

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        timed = self._trainer.timed
        self._begin = time.monotonic() - (timed.elapsed if timed else 0.0)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.started = True
        self._rate = kwargs["optimizer"].param_groups[0]["lr"]

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        loss = float(self._trainer.loss)
        total = self._total(state)
        check_loss(loss, state.global_step, total, self._peak)
        if self._report:
            numbers = {"learning_rate": float(self._rate)}
            self._report(Progress(state.global_step, total, loss, numbers=numbers))
        if state.global_step >= total:
            control.should_training_stop = True
        elif self._folder and self._clock.due():
            control.should_save = True

    def _total(self, state: TrainerState) -> int:
        """Return how many steps it will be, as far as one can tell."""
        timed = self._trainer.timed
        if timed is None:
            return state.max_steps
        elapsed = torch.tensor(time.monotonic() - self._begin, dtype=torch.float64, device=self._trainer.args.device)
        timed.elapsed = float(broadcast(elapsed))  # of several processes the first has the clock  # pyright: ignore
        return timed.total(state.global_step)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self._folder:
            publish(self._folder / f"checkpoint-{state.global_step}", self._folder, state.global_step)
            self._clock.restart()


class _Epochs(TrainerCallback):
    """Lets the caller look at the model after each epoch, and end the training."""

    def __init__(
        self, trainer: _Trainer, per_epoch: int, after_epoch: Callable[[int], bool], attention: str | None
    ) -> None:
        self._trainer = trainer
        self._per_epoch = per_epoch
        self._after_epoch = after_epoch
        self._attention = attention

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        epoch, rest = divmod(state.global_step, self._per_epoch)
        if rest:
            return
        model: PreTrainedModel = self._trainer.model  # pyright: ignore[reportAssignmentType]
        attention = model.config._attn_implementation
        changed = attention != self._attention
        model.eval()
        if changed:
            model.set_attn_implementation(self._attention or "eager")
        with torch.random.fork_rng([model.device] if model.device.type == "cuda" else []):
            going = self._after_epoch(epoch)
        if changed:
            model.set_attn_implementation(attention or "eager")
        model.train()
        if not going:
            control.should_training_stop, control.should_save = True, False
