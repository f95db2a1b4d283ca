"""What `pick` finds out about a few models: latency in turn, memory, answers on the report split."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from transformers import PreTrainedModel

from ...errors import InputError
from ...evaluation.archive import Archive
from ...evaluation.choice import Answers, Candidate
from ...evaluation.error import SplitError
from ...evaluation.evaluation import ERROR_INT8, METHOD, REPORT, STANDARD
from ...evaluation.latency import Bench, Latency, LatencyTable
from ...evaluation.latency.calibration import reference_mask
from ...evaluation.model_error import few_inputs, model_outputs
from ...evaluation.objectives import OBJECTIVES
from ...evaluation.serving import peak_memory
from ...supernet import Supernet
from ...supernet.extraction import check_extracted, extract
from ...supernet.precision import resolve_precision
from ...tasks import Task
from ..folder import RunFolder
from ..model import open_subnet
from ..scores import report_values

_AT_ONCE = 4  # finalists measured in turn with one another
_SECONDS, _ROUNDS = 3.0, 8  # of such a measurement


class Finalists:
    """Models of a run, extracted and measured on this machine as far as asked; each once.

    Args:
        folder: the run.
        supernet: where models are cut from.
        table: of this machine; its target says how models are measured.
    """

    def __init__(self, folder: RunFolder, supernet: Supernet, table: LatencyTable) -> None:
        self.folder = folder
        self.supernet = supernet
        self.table = table
        self._bench = Bench(extract(supernet.model, reference_mask(supernet.shape)), table.target)
        self._places: dict[tuple[str, str], int] = {}
        self._memory: dict[tuple[str, str], float] = {}

    @property
    def spread(self) -> float:
        """How much the reference's time varied meanwhile."""
        return self._bench.spread

    def speed(self) -> float:
        """Return what the reference takes now over what it took when the table was made."""
        self._bench.add(seconds=1.0, rounds=_ROUNDS)
        return self._bench.reference / self.table.reference

    def measure(self, chosen: Sequence[Candidate]) -> None:
        """Time models that were not yet, in turn with one another and the reference."""
        new = [one for one in chosen if _name(one) not in self._places]
        if new:
            places = self._bench.add(*map(self.model, new), seconds=_SECONDS, rounds=_ROUNDS)
            self._places |= dict(zip(map(_name, new), places, strict=True))

    def latency(self, one: Candidate) -> Latency:
        """Return what a measured model takes."""
        return self._bench.latency(self._places[_name(one)])

    def memory(self, one: Candidate) -> float:
        """Return the peak resident memory, in MB, of a fresh process that serves a model."""
        if _name(one) not in self._memory:
            self._memory[_name(one)] = peak_memory(self.model(one), self.table.target)
        return self._memory[_name(one)]

    def model(self, one: Candidate) -> PreTrainedModel:
        """Return a model of its own, as it is stored."""
        return open_subnet(self.folder, self.supernet, one.evaluation)

    def first_within(self, ordered: Sequence[Candidate], budgets: Mapping[str, float]) -> Candidate | None:
        """Return the first model that keeps its budgets as measured: the latency with its upper quartile, the memory.

        Args:
            ordered: the best first, with predicted values.
            budgets: all that were given.
        """
        memory = budgets.get("memory_mb", math.inf)
        extra = -math.inf  # measured memory less predicted, of the last one
        for start in range(0, len(ordered), _AT_ONCE):
            group = ordered[start : start + _AT_ONCE]
            if "latency_ms" in budgets:
                self.measure(group)
                group = [one for one in group if self.latency(one).high <= budgets["latency_ms"]]
            for one in group:
                if memory == math.inf:
                    return one
                if one.values["memory_mb"] + extra <= memory:
                    if self.memory(one) <= memory:
                        return one
                    extra = self.memory(one) - one.values["memory_mb"]
        return None


def report_answers(folder: RunFolder, supernet: Supernet, task: Task, chosen: Sequence[Candidate]) -> list[Answers]:
    """Run models over the report split, as the search does."""
    stages = folder.record["stages"]
    settings = stages["search"]["settings"] if "search" in stages else stages["standard"]["search"]
    dtype = resolve_precision(settings["precision"], supernet.device)
    pad, splits = task.pad_token_id, list(task.report.values())
    cut = [SplitError(supernet, split, task.metric, pad_token_id=pad, dtype=dtype) for split in splits]
    found = []
    for one in chosen:
        mask = one.evaluation.mask
        if one.evaluation.weights == STANDARD:
            model = open_subnet(folder, supernet, one.evaluation)
            outputs = [model_outputs(model, split, pad_token_id=pad, dtype=dtype) for split in splits]
        else:
            outputs = [split.outputs(mask, (mask.depth,))[mask.depth] for split in cut]
        found.append(Answers.of(task.metric, outputs, splits))
    return found


def keep_report(
    archive: Archive,
    finalists: Finalists,
    task: Task,
    one: Candidate,
    answers: Answers,
    error_int8: float,
    seconds: float,
) -> None:
    """Add a measured model's scores on the report split to the archive, unless it has been scored there.

    Args:
        archive: where to; its latencies are of the finalists' target.
        finalists: measured it.
        task: of the report split.
        one: the model.
        answers: its, on the report split.
        error_int8: its, there; NaN if models are not served so.
        seconds: that the scores took.

    Raises:
        RuntimeError: the extracted model does not compute what its slices in the supernet do.
    """
    evaluation, folder, supernet = one.evaluation, finalists.folder, finalists.supernet
    if archive.lookup(evaluation.key, REPORT, weights=evaluation.weights) is not None:
        return
    if evaluation.weights != STANDARD:
        check_extracted(finalists.model(one), supernet, evaluation.mask, few_inputs(supernet, task))
    values = report_values(task, answers) | ({} if math.isnan(error_int8) else {ERROR_INT8: error_int8})
    values |= {name: make(supernet, finalists.table).of(evaluation.mask) for name, make in OBJECTIVES.items()}
    latency = finalists.latency(one)
    values |= {"latency_ms": latency.median, "latency_low_ms": latency.low, "latency_high_ms": latency.high}
    values["latency_p95_ms"] = latency.p95
    row = replace(evaluation, x=None, method=METHOD, seed=folder.project.seed, split=REPORT, values=values)
    try:
        archive.add([replace(row, seconds=seconds, asked=True)])
    except InputError as error:
        folder.tell.say(f"the scores of {evaluation.key} on the report split are not kept: {error}")


def _name(one: Candidate) -> tuple[str, str]:
    return one.evaluation.key, one.evaluation.weights
