"""Models that no search evaluated, scored like all others: pruned ones, and recovered ones."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

from ..errors import InputError
from ..evaluation.archive import FINETUNED, NATIVE, RECOVERED, SUPERNET_PRUNED, Archive, Evaluation
from ..evaluation.latency import LatencyTable
from ..evaluation.model_error import model_error
from ..evaluation.objectives import ERROR, OBJECTIVES
from ..files import replace_text
from ..pruners import Pruned
from ..search_space import SubnetMask
from ..supernet import Supernet
from ..supernet.extraction import check_agreement, extract, kept_layers
from ..supernet.gates import gated, run_whole
from ..supernet.heads import read_outputs
from ..supernet.precision import resolve_precision
from ..supernet.settings import Precision
from ..supernet.storage import load_tokenizer, save_model
from ..tasks import Task
from .latency_tables import UNASKED, run_latency_table, searched_settings
from .rescore import COSTS, REPORT, SELECTION, few_inputs, quantised_error, report_errors, timed
from .run_folder import RunFolder
from .settings import LatencySettings
from .workspace import WHOLE, load_supernet, model_name, on_device, weights_folder

KINDS = (FINETUNED, SUPERNET_PRUNED, RECOVERED, NATIVE)  # of weights that no search has
NONZERO = "nonzero"  # share of weights that are left, of a model that has zeros instead of fewer units


@dataclass(frozen=True)
class Scorer:
    """Scores models of a run one like the other, and keeps what it finds.

    Attributes:
        folder: the run.
        supernet: the fine-tuned model.
        task: its selection and report splits.
        table: its target is what models are timed for.
        dtype: precision of the errors.
    """

    folder: RunFolder
    supernet: Supernet
    task: Task
    table: LatencyTable
    dtype: torch.dtype

    @classmethod
    def open(
        cls, folder: RunFolder, task: Task, latency: LatencySettings = UNASKED, asked: Precision = "auto"
    ) -> Scorer:
        """Score in the precision and for the latency target of what the archive has already, or those asked for.

        Args:
            folder: the run.
            task: its selection and report splits.
            latency: how models will be served; what is left at its default is as in the run's search or pruning.
            asked: precision of the errors; likewise.

        Raises:
            InputError: nothing is fine-tuned yet, or the archive's numbers belong to another target, machine or
                precision.
        """
        if not folder.complete("finetune"):
            raise InputError(f"{folder.path} has no complete finetune stage; run `secateur finetune` on it first")
        found = precision(folder, asked)
        supernet = on_device(load_supernet(folder.finetuned))
        table = run_latency_table(folder, supernet, latency)
        return cls(folder, supernet, task, table, resolve_precision(found, supernet.device))

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
        error = model_error(model, task.selection, task.metric, pad_token_id=task.pad_token_id, dtype=self.dtype)
        on_report = values | report_errors(model, task, self.dtype)
        path = weights_folder(self.folder, row)
        if path is not None:
            save_model(model, load_tokenizer(self.folder.finetuned), path)
        if latency:
            on_report |= quantised_error(model, task, self.table.target)
            on_report |= timed(model.cpu(), self.table.target)
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
        row = make_row(full, WHOLE, self.folder.project.seed, FINETUNED, {}, {}, 0.0)
        if not any(one.model == row.model for one in archive.evaluations(split=REPORT, weights=FINETUNED)):
            self.keep(archive, extract(self.supernet.model, full), row)


def make_row(
    mask: SubnetMask,
    method: str,
    seed: int,
    weights: str,
    recipe: Mapping[str, float | str],
    values: Mapping[str, float],
    seconds: float,
) -> Evaluation:
    """Return the row of a model on the selection split, not scored yet; the seconds are those of making it."""
    return Evaluation(
        key=mask.key,
        mask=mask,
        x=None,
        space="",
        method=method,
        seed=seed,
        split=SELECTION,
        values=dict(values),
        seconds=seconds,
        asked=True,
        weights=weights,
        recipe=dict(recipe),
    )


def precision(folder: RunFolder, asked: str = "auto") -> str:
    """Return the precision that errors of a run are computed in, as settings name it: what was asked for if it is new.

    Raises:
        InputError: the archive's errors were computed in another than the one asked for.
    """
    settings = searched_settings(folder)
    before = folder.record["stages"].get("prune", {}).get("precision") if settings is None else settings.precision
    if before is None or asked in ("auto", before):
        return before or asked
    raise InputError(
        f"the errors in {folder.archive} were computed with --precision {before}, not {asked}; prune with that again, "
        "or move the archive away"
    )


def forget(folder: RunFolder, archive: Archive) -> None:
    """Remove the weights of models that are on no front of their kind; what is dominated once is so for ever."""
    fronts = (archive.front((ERROR, cost), weights=kind) for kind in KINDS for cost in (*COSTS, NONZERO))
    kept = {model_name(one) for front in fronts for one in front}
    for path in folder.pruned.glob("[!.]*"):
        if path.name not in kept:
            shutil.rmtree(path, ignore_errors=True)


class Stopwatch:
    """Seconds that a job has taken over all attempts, on the disk but for the last second of one that was killed.

    Args:
        path: a file of the job's state.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before = float(path.read_text()) if path.is_file() else 0.0
        self._begin, self._written = time.monotonic(), -math.inf

    @property
    def seconds(self) -> float:
        """All attempts' together."""
        return self._before + time.monotonic() - self._begin

    def beat(self) -> None:
        """Write the seconds down, if that was a second ago."""
        if time.monotonic() - self._written >= 1.0:
            self._written = time.monotonic()
            replace_text(self._path, repr(self.seconds))


@torch.inference_mode()
def check_pruned(supernet: Supernet, task: Task, pruned: Pruned) -> bool:
    """Check that a pruned model computes what its units do in the whole one, scaled as its own weights say.

    Returns:
        Whether there are scales.

    Raises:
        RuntimeError: it does not: the point must not be reported.
    """
    inputs = few_inputs(supernet, task)
    heads, neurons = _scales(supernet, pruned)
    scaled = bool((heads != pruned.mask.heads).any() or (neurons != pruned.mask.neurons).any())
    if not scaled:
        reference = supernet.subnet(pruned.mask).outputs(**inputs)
    else:
        factors = [torch.from_numpy(part).float().to(supernet.device) for part in (heads, neurons)]
        with gated(supernet, *factors):
            reference = run_whole(supernet, inputs)
    check_agreement(reference, read_outputs(pruned.model(**inputs), inputs["attention_mask"]))
    return scaled


def _scales(supernet: Supernet, pruned: Pruned) -> tuple[np.ndarray, np.ndarray]:
    """Read factors `(L, H)` and `(L, F)` off the maps that units flow into; 0 for removed units."""
    mask, own = pruned.mask, dict(pruned.model.named_parameters())
    heads, neurons = np.zeros(mask.heads.shape), np.zeros(mask.neurons.shape)
    for position, layer in enumerate(kept_layers(mask)):
        for part, kept, scales, width in (
            ("attention_output", mask.heads, heads, supernet.shape.head_size),
            ("ffn_out", mask.neurons, neurons, 1),
        ):
            if not kept[layer].any():
                continue
            before = supernet.parameters[f"{supernet.family.layer_path(layer, part)}.weight"].double().cpu().numpy()
            after = own[f"{supernet.family.layer_path(position, part)}.weight"].double().cpu().numpy()
            units = before.T.reshape(len(kept[layer]), -1)[kept[layer]]  # (kept, width * D)
            scaled = after.T.reshape(len(units), width * after.shape[0])
            norms = (units**2).sum(axis=1)
            scales[layer, kept[layer]] = np.where(
                norms > 0, (units * scaled).sum(axis=1) / np.maximum(norms, 1e-300), 1
            )
    return heads, neurons
