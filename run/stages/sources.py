"""Models of a comparison before and after their refit, made of networks that are loaded once for all."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property

from transformers import PreTrainedModel

from ...errors import InputError
from ...evaluation.evaluation import Evaluation
from ...supernet import Supernet
from ...supernet.refit import WholeSums, refit
from ...supernet.stored.storage import load_model
from ..model import weights_folder
from ..project import load_solved, load_supernet, on_device
from ..recipes import refitted_row
from ..scores import checked
from ..scoring import Scorer
from ..ship.refit import whole_sums
from .prune import make_job, run_pruner, seen_by


@dataclass(frozen=True)
class Refit:
    """A model after its refit, the seconds it took, and those of the whole model's sums, which serve all models."""

    model: PreTrainedModel
    seconds: float
    shared_seconds: float


class Sources:
    """Makes models anew that the archive has, for what all of them get.

    Args:
        scorer: of the run.
    """

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self._sums: dict[str | None, tuple[WholeSums, float]] = {}

    def cut(self, row: Evaluation) -> PreTrainedModel:
        """Return a model as it was evaluated: as it is kept, or made once more.

        Raises:
            InputError: it comes out otherwise than in the archive.
        """
        scorer = self.scorer
        path, source = weights_folder(scorer.folder, row), self._source(row)
        if path is None:
            return checked(source, scorer.task, row.mask)
        if path.is_dir():
            return load_model(path)
        job = make_job(scorer, row.method, row.seed, row.recipe)
        pruned, _ = run_pruner(source, seen_by(scorer.task, row.recipe.get("texts"), row.seed), job)
        if pruned.mask.key != row.key:
            raise InputError(
                f"{job} made {row.key} before and {pruned.mask.key} now, with other versions or on another machine; "
                f"recover where {scorer.folder.path} was pruned, or prune in another run"
            )
        return pruned.model

    def refitted(self, row: Evaluation) -> Refit:
        """Return a model after a refit to the network that it was cut out of; `row` is of the model before that."""
        scorer, origin = self.scorer, row.weights.origin
        kept = weights_folder(scorer.folder, refitted_row(row))
        if kept is not None and kept.is_dir():
            return Refit(load_model(kept), 0.0, 0.0)
        model = self.cut(row)
        if origin not in self._sums:
            begin = time.monotonic()
            sums = whole_sums(self._source(row), scorer.task, scorer.folder.project.seed)
            self._sums[origin] = sums, time.monotonic() - begin
        sums, shared = self._sums[origin]
        begin = time.monotonic()
        model = model.to(sums.whole.device)  # pyright: ignore[reportArgumentType]
        refit(model, row.mask, sums)
        return Refit(model, time.monotonic() - begin, shared)

    def _source(self, row: Evaluation) -> Supernet:
        if row.weights.origin == "supernet":
            return self._supernet
        return self._solved if row.weights.origin == "solved" else self.scorer.supernet

    @cached_property
    def _supernet(self) -> Supernet:
        return on_device(load_supernet(self.scorer.folder.supernet))

    @cached_property
    def _solved(self) -> Supernet:
        return load_solved(self.scorer.folder.solved, self.scorer.supernet.device)
