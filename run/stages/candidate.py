"""One candidate of standard NAS: cut out, trained epoch by epoch, and resumable at any moment."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...digests import read_json, write_json
from ...evaluation.model_error import model_error
from ...search_space import SubnetMask
from ...supernet.extraction import extract
from ...supernet.stored.storage import save_model
from ...supernet.training.finetuning import finetune
from ...supernet.training.settings import FinetuneSettings
from ...tasks import Task
from ..stopwatch import Stopwatch


@dataclass(frozen=True)
class Trained:
    """The error of a candidate's best epoch, how many epochs it had, and the seconds they took, over all attempts."""

    error: float
    epochs: int
    seconds: float


@dataclass(frozen=True)
class CandidateTrainer:
    """Trains candidates one after another.

    Attributes:
        model: what they are cut from; left as it is.
        tokenizer: saved with them.
        task: its training split; the error is that of the selection split.
        settings: the recipe, with a whole number of epochs.
        seed: of batches and dropout.
        dtype: precision of the evaluations.
        state: folder of the one under way.
        weights: folder of those that are done, by key.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    task: Task
    settings: FinetuneSettings
    seed: int
    dtype: torch.dtype
    state: Path
    weights: Path

    def train(self, mask: SubnetMask, keep_going: Callable[[int, float], bool]) -> Trained:
        """Train a candidate until its last epoch or until it is hopeless, and keep the weights of its best epoch.

        Args:
            mask: what it keeps.
            keep_going: told each finished epoch's number and error, says whether there shall be another.
        """
        diary = Diary(self.state, mask.key)
        for epoch, error in enumerate(diary.errors, 1):  # of attempts that were killed
            keep_going(epoch, error)

        def after_epoch(epoch: int) -> bool:
            if epoch > len(diary.errors):
                error = self._error(candidate)
                if diary.would_be_best(error):
                    save_model(candidate, self.tokenizer, diary.weights(epoch), sealed=True)
                diary.note(error, ended=not keep_going(epoch, error) or epoch >= self.settings.epochs)
            return epoch < len(diary.errors) or not diary.ended

        with Stopwatch(diary.folder / "seconds") as watch:
            if not diary.ended:
                candidate = extract(self.model, mask)
                state = diary.folder / "training"
                finetune(candidate, self.task, self.settings, seed=self.seed, state=state, after_epoch=after_epoch)
            error, epochs = diary.close(self.weights / mask.key)
        return Trained(error, epochs, watch.seconds)

    def _error(self, candidate: PreTrainedModel) -> float:
        task = self.task
        return model_error(candidate, task.selection, task.metric, pad_token_id=task.pad_token_id, dtype=self.dtype)


class Diary:
    """What is known of the candidate under way, on the disk, so that an attempt that is killed is gone on with.

    Args:
        folder: where; what it holds of another candidate is removed.
        key: the candidate's.

    Attributes:
        errors: on the selection split, after each finished epoch.
        ended: there will be no further epoch.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self._path = folder, folder / "diary.json"
        found: dict[str, Any] = {}
        if self._path.is_file():
            found = read_json(self._path, f"delete {folder} and the candidate under way is trained again")
        if found.get("key") != key:
            shutil.rmtree(folder, ignore_errors=True)
            found = {"key": key, "errors": [], "ended": False}
        self._key = key
        self.errors: list[float] = found["errors"]
        self.ended: bool = found["ended"]
        self._write()  # a resume point belongs to it from now on

    def would_be_best(self, error: float) -> bool:
        """Tell whether an error is lower than all so far; NaN never is."""
        return error < min((e for e in self.errors if not math.isnan(e)), default=math.inf)

    def weights(self, epoch: int) -> Path:
        """The folder of the weights after an epoch."""
        return self.folder / f"epoch-{epoch}"

    def note(self, error: float, *, ended: bool) -> None:
        """Write down what a finished epoch brought, then remove the weights of any but the best."""
        self.errors.append(error)
        self.ended = ended
        self._write()
        for path in self.folder.glob("epoch-*"):
            if path != self.weights(self._best()):
                shutil.rmtree(path, ignore_errors=True)

    def close(self, kept: Path) -> tuple[float, int]:
        """Move the weights of the best epoch to where they are kept; return its error, and how many there were."""
        best = self._best()
        if self.weights(best).is_dir():  # else an attempt was killed after the move, or no epoch had an error
            shutil.rmtree(kept, ignore_errors=True)
            kept.parent.mkdir(parents=True, exist_ok=True)
            self.weights(best).rename(kept)
        return self.errors[best - 1] if best else math.nan, len(self.errors)

    def _best(self) -> int:
        """Return the number of the epoch with the lowest error, the first of several; 0 if none has one."""
        numbers = [(error, epoch) for epoch, error in enumerate(self.errors, 1) if not math.isnan(error)]
        return min(numbers)[1] if numbers else 0

    def _write(self) -> None:
        found = {"key": self._key, "errors": self.errors, "ended": self.ended}
        write_json(self._path, found)
