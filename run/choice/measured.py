"""What is found out about a few models to choose one: latency in turn, memory, answers on the report split."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from transformers import PreTrainedModel

from ...errors import InputError
from ...evaluation.answers import Answers, difference_interval, error_interval, tied
from ...evaluation.archive import Archive
from ...evaluation.choice import Candidate, candidates, cost_names, in_order, nearest
from ...evaluation.evaluation import ERROR_INT8, FLIP_RATE, METHOD, REPORT, Evaluation
from ...evaluation.latency import RUNTIMES, Bench, Latency, LatencyTable
from ...evaluation.latency.calibration import reference_mask
from ...evaluation.load import under_load
from ...evaluation.model import Home, Model, model_of
from ...evaluation.objectives import OBJECTIVES
from ...evaluation.serving import peak_memory
from ...evaluation.weights import Weights
from ...evaluation.work import UnderLoad
from ...supernet import Supernet
from ...supernet.extraction import extract
from ...supernet.shipping.engines import ENGINES
from ...tasks import Task
from ...tasks.split import Split
from ..folder import RunFolder
from ..gate import Gap, Int8Judge
from ..latency import latency_table_here, searched_latency_table
from ..model import open_subnet
from ..project import open_encoder
from ..scores import few_texts, quantised_error, report_values
from ..settings.choice import PickSettings
from ..vocabulary import Vocabularies
from .answer import Answer, KeptAnswers, Roles
from .flips import FlipRates, first_that_agrees
from .outputs import outputs_of
from .promise import Promise
from .stored import MEASURED, around, nothing_within, shippable

# How far beyond its budget a prediction may lie for the model to be measured.
_SLACK = {"latency_ms": 1.1, "memory_mb": 1.15}
_AT_ONCE = 4  # finalists measured in turn with one another
_SECONDS, _ROUNDS = 3.0, 8  # of such a measurement


class Finalists:
    """Models of a run, extracted and measured on this machine as far as asked; each once.

    Args:
        folder: the run.
        supernet: where models are cut from.
        table: of this machine; its target says how models are measured.
        gate: how far they may be off where its runtime is in int8.
        promise: what they must keep under load; nothing if None.

    Attributes:
        vocabularies: the run's task, as models read it.
        refused: how far the first model is off that was off too far; None if none was.
        late: what the fastest model did that did not keep the promise; None if there is none.
    """

    def __init__(
        self,
        folder: RunFolder,
        supernet: Supernet,
        table: LatencyTable,
        gate: float,
        promise: Promise | None = None,
    ) -> None:
        self.gate, self.promise = gate, promise
        self.refused: Gap | None = None
        self.late: UnderLoad | None = None
        self._too_slow = math.inf  # milliseconds alone of the fastest that did not keep the promise
        self._loads: dict[tuple[str, ...], UnderLoad] = {}
        self.folder, self.vocabularies = folder, Vocabularies(folder)
        self.supernet = supernet
        self.table = table
        self._bench = Bench(extract(supernet.model, reference_mask(supernet.shape)), table.target)
        self._places: dict[tuple[str, ...], int] = {}
        self._memory: dict[tuple[str, ...], float] = {}
        self._gaps: dict[tuple[str, ...], Gap] = {}

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
        """Return a model of its own, as it is shipped."""
        return self.vocabularies.cut(open_subnet(self.folder, self.supernet, one.evaluation), one.evaluation.mask)

    def task(self, one: Candidate) -> Task:
        """Return the run's task, as a model of its own reads it."""
        return self.vocabularies.own_task(one.evaluation.mask.tokens)

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
                if memory < math.inf:
                    if one.values["memory_mb"] + extra > memory:
                        continue
                    if self.memory(one) > memory:
                        extra = self.memory(one) - one.values["memory_mb"]
                        continue
                if self._keeps_its_promise(one) and self._answers_in_int8(one):
                    return one
        return None

    def under_load(self, one: Candidate) -> UnderLoad | None:
        """Return what a model does under the load of the promise; None if there is none."""
        if self.promise is None:
            return None
        if _name(one) not in self._loads:
            texts = few_texts(self.task(one)) if RUNTIMES[self.table.target.runtime].int8 else ()
            load, limit = self.promise.load, self.promise.p99_ms
            found = under_load(self.model(one), self.table.target, load, limit=limit, texts=texts)
            self._loads[_name(one)] = found
        return self._loads[_name(one)]

    def _keeps_its_promise(self, one: Candidate) -> bool:
        """Whether a model keeps the promise; one that is slower than one that did not is not asked."""
        if self.promise is None:
            return True
        alone = self.latency(one).median
        if alone >= self._too_slow:
            return False
        found = self.under_load(one)
        assert found is not None
        if found.keeps(self.promise.p99_ms):
            return True
        self._too_slow, self.late = alone, found
        return False

    def _answers_in_int8(self, one: Candidate) -> bool:
        """Whether a model's answers are within the gate as it is served; those in float32 are."""
        runtime = RUNTIMES[self.table.target.runtime]
        if not runtime.int8 or runtime.engine is None:
            return True
        gap = self._gaps.get(_name(one))
        if gap is None:
            task, model = self.task(one), self.model(one).float()
            found = ENGINES[runtime.engine].opened(model, int8=True, texts=few_texts(task))
            gap = self._gaps[_name(one)] = Int8Judge(model, task).gap(found)
        if not gap.within(self.gate):
            self.refused = self.refused or gap
        return gap.within(self.gate)


def measured_answer(
    folder: RunFolder,
    archive: Archive,
    budgets: dict[str, float],
    promise: Promise | None,
    settings: PickSettings,
    home: Home | None,
) -> Answer:
    """Choose by what is measured now, and find out about the model and its neighbours; see :func:`.pick.pick`."""
    gate = settings.gate
    table = latency_table_here(folder, settings.runtime)
    finalists = Finalists(folder, open_encoder(folder), table, gate, promise)
    known = _candidates(finalists, archive, budgets, None)
    answers = KeptAnswers(folder, archive, budgets, table.target, None, gate, promise)
    flips = _flips(finalists, budgets)
    chosen = _best(finalists, known, budgets, answers.find(known), flips)
    answers.keep(chosen)
    roles = around(known, chosen, cost_names(budgets)[0])
    finalists.measure(list(roles.values()))
    models = _found_out(finalists, archive, roles, home)
    if flips is not None:
        rates = {role: flips.of(one) for role, one in roles.items()}
        models = {
            role: replace(models[role], flip_rate=found.rate, flip_low=found.low, flip_high=found.high)
            for role, found in rates.items()
        }
    around_it = models.get("cheaper"), models.get("dearer")
    found = Answer(models["chosen"], *around_it, budgets, table.target, finalists.spread)
    return replace(found, promise=promise, under_load=finalists.under_load(chosen))


def measured_choice(
    folder: RunFolder,
    archive: Archive,
    budgets: dict[str, float],
    runtime: str | None,
    weights: str | None,
    gate: float,
) -> Evaluation:
    """Return what was named for budgets, or choose by what is measured now; see :func:`.pick.chosen_model`."""
    table = latency_table_here(folder, runtime)
    answers = KeptAnswers(folder, archive, budgets, table.target, weights, gate)
    rows = [Candidate(one, {}) for one in shippable(folder, archive, weights)]
    if (named := answers.find(rows)) is not None:
        return named.evaluation
    finalists = Finalists(folder, open_encoder(folder), table, gate)
    flips = _flips(finalists, budgets)
    chosen = _best(finalists, _candidates(finalists, archive, budgets, weights), budgets, None, flips)
    answers.keep(chosen)
    return chosen.evaluation


def _flips(finalists: Finalists, budgets: Mapping[str, float]) -> FlipRates | None:
    """Return what finds out flip rates, if there is a budget of them."""
    if FLIP_RATE not in budgets:
        return None
    return FlipRates(finalists.folder, finalists.supernet, finalists.table.target.runtime, finalists.gate)


def _candidates(
    finalists: Finalists, archive: Archive, budgets: Mapping[str, float], weights: str | None
) -> list[Candidate]:
    """Return all models that there are weights of, latencies as the table predicts them at the machine's speed now."""
    makers = {name: make(finalists.supernet, finalists.table) for name, make in OBJECTIVES.items()}
    found = candidates(shippable(finalists.folder, archive, weights), cost_names(budgets), makers)
    if "latency_ms" not in budgets:
        return found
    speed = finalists.speed()
    return [replace(one, values=one.values | {"latency_ms": one.values["latency_ms"] * speed}) for one in found]


def _best(
    finalists: Finalists,
    known: list[Candidate],
    budgets: Mapping[str, float],
    named: Candidate | None,
    flips: FlipRates | None,
) -> Candidate:
    """Return the best model that keeps the budgets as measured; the one that was named before comes first.

    Raises:
        InputError: none keeps them.
    """
    loose = {name: limit * _SLACK.get(name, 1.0) for name, limit in budgets.items()}
    if flips is not None:
        others = {name: limit for name, limit in budgets.items() if name != FLIP_RATE}
        return first_that_agrees(flips, known, budgets, loose, named, lambda one: _keeps(finalists, one, others))
    ordered = in_order(known, loose)
    if named is not None:
        ordered = [named, *(one for one in ordered if one is not named)]
    chosen = finalists.first_within(ordered, budgets)
    if chosen is not None:
        return chosen
    _check_tried(finalists)
    close = nearest(known, budgets)
    if all(close.values[name] <= limit for name, limit in budgets.items() if name not in MEASURED):
        chosen = finalists.first_within([close], budgets)
    if chosen is not None:
        return chosen
    _check_tried(finalists)
    values = dict(close.values)
    if "latency_ms" in budgets:
        finalists.measure([close])
        values["latency_ms"] = finalists.latency(close).high
    if "memory_mb" in budgets:
        values["memory_mb"] = finalists.memory(close)
    raise nothing_within(budgets, replace(close, values=values))


def _check_tried(finalists: Finalists) -> None:
    """Say of models that keep the budgets why none of them will do.

    Raises:
        InputError: one of them is off too far in int8, or is too slow under load.
    """
    if finalists.refused is not None:
        raise InputError(
            f"models keep the budgets, but not their answers in int8: the best of them {finalists.refused}, where "
            f"{finalists.gate:g} is allowed; give a higher `gate`, another `runtime` or other budgets"
        )
    if finalists.late is not None and finalists.promise is not None:
        late = finalists.late.most_late(finalists.promise.p99_ms)
        raise InputError(
            f"models are fast enough alone, but none keeps {finalists.promise}: of the fastest that was tried up to "
            f"{late:.1%} of requests may take longer; give a higher `p99_ms`, another `runtime`, more `instances` or "
            "less to do"
        )


def _keeps(finalists: Finalists, one: Candidate, budgets: Mapping[str, float]) -> bool:
    return finalists.first_within([one], budgets) is not None


def _found_out(finalists: Finalists, archive: Archive, roles: Roles, home: Home | None) -> dict[str, Model]:
    """Score models on the report split, and compare them with the chosen one there; the scores are kept."""
    folder, supernet, target = finalists.folder, finalists.supernet, finalists.table.target
    begin = time.perf_counter()
    answers = dict(zip(roles, report_answers(finalists, list(roles.values())), strict=True))
    quantised = {
        role: quantised_error(finalists.model(one), finalists.task(one), target).get(ERROR_INT8)
        for role, one in roles.items()
    }
    seconds = (time.perf_counter() - begin) / len(roles)
    kept = target.name == searched_latency_table(folder).target.name  # else the archive's latencies are of another way
    models = {}
    for role, one in roles.items():
        if kept:
            keep_report(archive, finalists, one, answers[role], quantised[role], seconds)
        low, high = error_interval(answers[role], seed=folder.project.seed)
        difference = difference_interval(answers[role], answers["chosen"], seed=folder.project.seed)
        costs = {name: make(supernet, finalists.table).of(one.evaluation.mask) for name, make in OBJECTIVES.items()}
        latency = finalists.latency(one)
        models[role] = replace(
            model_of(replace(one.evaluation, values=one.evaluation.values | costs), None, home),
            error_report=answers[role].error(),
            error_low=low,
            error_high=high,
            latency_ms=latency.median,
            latency_low_ms=latency.low,
            latency_high_ms=latency.high,
            latency_p50_ms=latency.p50,
            latency_p95_ms=latency.p95,
            memory_mb=finalists.memory(one) if role == "chosen" else None,
            error_int8=quantised[role],
            difference_low=difference[0],
            difference_high=difference[1],
            tied=tied(difference),
        )
    return models


def report_answers(finalists: Finalists, chosen: Sequence[Candidate]) -> list[Answers]:
    """Run models over the report split, as the search does."""
    task = finalists.vocabularies.task
    found = outputs_of(finalists.folder, finalists.supernet, finalists.vocabularies, _report, chosen)
    return [Answers.of(task.metric, outputs, _report(task)) for outputs in found]


def _report(task: Task) -> list[Split]:
    return list(task.report.values())


def keep_report(
    archive: Archive,
    finalists: Finalists,
    one: Candidate,
    answers: Answers,
    error_int8: float | None,
    seconds: float,
) -> None:
    """Add a measured model's scores on the report split to the archive, unless it has been scored there.

    Args:
        archive: where to; its latencies are of the finalists' target.
        finalists: measured it.
        one: the model.
        answers: its, on the report split.
        error_int8: its, there; None if models are not served so.
        seconds: that the scores took.

    Raises:
        RuntimeError: the extracted model does not compute what its slices in the supernet do.
    """
    evaluation, folder, supernet = one.evaluation, finalists.folder, finalists.supernet
    if archive.lookup(evaluation.key, REPORT, weights=evaluation.weights) is not None:
        return
    if evaluation.weights is Weights.SUPERNET:
        finalists.vocabularies.check(finalists.model(one), supernet, evaluation.mask)
    values = report_values(finalists.vocabularies.task, answers)
    values |= {} if error_int8 is None else {ERROR_INT8: error_int8}
    values |= {name: make(supernet, finalists.table).of(evaluation.mask) for name, make in OBJECTIVES.items()}
    latency = finalists.latency(one)
    values |= {"latency_ms": latency.median, "latency_low_ms": latency.low, "latency_high_ms": latency.high}
    values["latency_p95_ms"] = latency.p95
    row = replace(evaluation, x=None, method=METHOD, seed=folder.project.seed, split=REPORT, values=values)
    try:
        archive.add([replace(row, seconds=seconds, asked=True)])
    except InputError as error:
        folder.tell.say(f"the scores of {evaluation.key} on the report split are not kept: {error}")


def _name(one: Candidate) -> tuple[str, ...]:
    return one.evaluation.model
