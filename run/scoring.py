"""Models that no search evaluated, scored like all others: pruned ones, and recovered ones."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace

import torch
from transformers import PreTrainedModel

from ..evaluation.archive import Archive
from ..evaluation.evaluation import NONZERO, REPORT, SELECTION, WHOLE, Evaluation
from ..evaluation.latency import LatencyTable
from ..evaluation.model_error import error_of
from ..evaluation.objectives import ERROR, OBJECTIVES
from ..evaluation.weights import SEVERAL_PER_MASK, Weights
from ..search_space import SubnetMask
from ..supernet import Supernet
from ..supernet.extraction import extract
from ..supernet.stored.storage import load_tokenizer, save_model
from ..tasks import Task
from .basis import Basis
from .folder import RunFolder
from .latency import latency_target, open_latency_table
from .model import model_name, weights_folder
from .precision import dtype_of, error_in_int8, outputs_in
from .project import load_supernet, on_device
from .recipes import make_row
from .scores import doubtful, score_outputs, timed
from .settings.base import ErrorPrecision
from .settings.latency import LatencySettings


@dataclass(frozen=True)
class Scorer:
    """Scores models of a run one like the other, and keeps what it finds.

    Attributes:
        folder: the run.
        supernet: the fine-tuned model.
        task: its selection and report splits.
        table: its target is what models are timed for.
        precision: of the errors: a dtype, or int8.
    """

    folder: RunFolder
    supernet: Supernet
    task: Task
    table: LatencyTable
    precision: str

    @classmethod
    def open(
        cls, folder: RunFolder, task: Task, latency: LatencySettings | None = None, precision: ErrorPrecision = "auto"
    ) -> Scorer:
        """Score in the precision and for the latency target of what the archive has already, or those asked for.

        Args:
            folder: the run.
            task: its selection and report splits.
            latency: how models will be served; as the archive's if None.
            precision: of the errors; `auto`: as the archive's.

        Raises:
            InputError: nothing is fine-tuned yet, or the archive's numbers belong to another target, machine or
                precision.
        """
        folder.check_complete("finetune")
        supernet, before = on_device(load_supernet(folder.finetuned)), Basis.of(folder)
        latency = latency or (LatencySettings() if before is None else before.latency)
        target = latency_target(supernet.model.config, latency)
        joined = Basis.join(folder, target, precision)
        return cls(folder, supernet, task, open_latency_table(folder, supernet, target), joined.dtype)

    @property
    def dtype(self) -> torch.dtype:
        """What PyTorch computes in."""
        return dtype_of(self.precision, self.supernet.device)

    def keep(self, archive: Archive, model: PreTrainedModel, row: Evaluation, *, latency: bool = True) -> None:
        """Score a model on both splits, commit that, and keep its weights if it is on a front.

        Args:
            archive: the run's.
            model: independent; may be moved and cast.
            row: who it is, on the selection split, with the values that do not follow from its mask and its outputs.
                One with a share of non-zero weights costs what the whole network costs, so gets no costs of a mask.
            latency: time the model.
        """
        begin = time.perf_counter()
        model = model.to(self.supernet.device).eval()  # pyright: ignore[reportArgumentType]
        task, values = self.task, dict(row.values)
        if NONZERO not in values:
            values |= {name: float(make(self.supernet, self.table).of(row.mask)) for name, make in OBJECTIVES.items()}
        splits = [task.selection, *task.report.values()]
        selection, *report = outputs_in(self.precision, model, splits, task, self.table.target.runtime)
        error = error_of(selection, task.selection, task.metric)
        on_report = values | score_outputs(task, report)
        path = weights_folder(self.folder, row)
        if path is not None:
            save_model(model, load_tokenizer(self.folder.finetuned), path, sealed=True)
        if latency:
            on_report |= error_in_int8(self.precision, on_report, model, task, self.table.target)
            on_report |= timed(model.cpu(), self.table.target, values.get("latency_ms"))
            if warning := doubtful(row.key, on_report["latency_ms"], values.get("latency_ms")):
                self.folder.tell.say(warning)
        archive.add(
            [
                replace(row, values=values | {ERROR: error}),
                replace(row, split=REPORT, values=on_report, seconds=time.perf_counter() - begin),
            ]
        )
        forget(self.folder, archive)

    def keep_whole(self, archive: Archive) -> None:
        """Score the fine-tuned model itself, unless that was done: what all others are compared with."""
        full = SubnetMask.full(self.supernet.shape)
        row = make_row(full, WHOLE, self.folder.project.seed, Weights.FINETUNED, {}, {}, 0.0)
        if not any(one.model == row.model for one in archive.evaluations(split=REPORT, weights=Weights.FINETUNED)):
            self.keep(archive, extract(self.supernet.model, full), row)


def forget(folder: RunFolder, archive: Archive) -> None:
    """Remove the weights of models that are on no front of their kind; what is dominated once is so for ever.

    What the archive does not know is left: it may be of another one, which somebody has moved away.
    """
    fronts = (
        archive.front((ERROR, cost), weights=kind) for kind in SEVERAL_PER_MASK for cost in (*OBJECTIVES, NONZERO)
    )
    kept = {model_name(one) for front in fronts for one in front}
    for name in {model_name(one) for one in archive.evaluations(split=SELECTION, weights=SEVERAL_PER_MASK)} - kept:
        shutil.rmtree(folder.pruned / name, ignore_errors=True)
