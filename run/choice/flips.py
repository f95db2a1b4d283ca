"""The cheapest model that answers as the fine-tuned one does, but for a share of texts that is allowed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ...evaluation.answers import Answers
from ...evaluation.choice import Candidate, cost_names
from ...evaluation.evaluation import FLIP_RATE
from ...evaluation.flips import FlipRate, flip_rate, share_interval
from ...evaluation.latency import RUNTIMES
from ...evaluation.model_error import model_outputs
from ...evaluation.objectives import ERROR
from ...supernet import Supernet
from ...tasks import Task
from ...tasks.agreement import agreement
from ...tasks.split import Split
from ..basis import INT8, Basis
from ..folder import RunFolder
from ..precision import dtype_of
from ..project import load_supernet, on_device, open_task
from ..vocabulary import Vocabularies
from .outputs import outputs_of
from .stored import nothing_within


class FlipRates:
    """Flip rates of models of a run on its selection split, as they are served; each found out once.

    Args:
        folder: the run, whose fine-tuned model is what all are held to.
        supernet: where models are cut from.
        runtime: what serves them; in int8 they are run so, whatever the search looked at.
        gate: how far a model in int8 may be off the one that it is made of, on the same texts.

    Attributes:
        folder: as given.
    """

    def __init__(self, folder: RunFolder, supernet: Supernet, runtime: str, gate: float) -> None:
        task, basis = open_task(folder), Basis.of(folder)
        assert basis is not None
        quantised = RUNTIMES[runtime].int8 and (basis.dtype, basis.latency.runtime) != (INT8, runtime)
        self._runtime, self._gate = (runtime, gate) if quantised else (None, 0.0)
        self.folder, self._supernet, self._task = folder, supernet, task
        self._vocabularies = Vocabularies(folder, task)
        self._metric = agreement(task.kind)
        self._answered, self._least = task.selection, 0.0
        if not task.answered:
            whole, dtype = on_device(load_supernet(folder.finetuned)), dtype_of(basis.dtype, supernet.device)
            outputs = model_outputs(whole.model, task.selection, pad_token_id=task.pad_token_id, dtype=dtype)
            self._answered = task.kind.answered(outputs, task.selection)
            self._least = task.metric.error(outputs, task.selection)
        self._known: dict[tuple[str | None, ...], FlipRate] = {}

    def least(self, one: Candidate) -> float:
        """Return what the upper end of a model's interval cannot be below, without running it.

        Without labels the error is the flip rate. Of accuracy: so many more wrong answers are other answers. What int8
        may answer otherwise than the model it is made of may be what that one does; of vectors that is no bound.
        """
        kind = self._task.kind
        if self._runtime is not None and not kind.flips_whole:
            return 0.0
        if not self._task.answered and self._task.metric.name != "accuracy":
            return 0.0
        rate = max(0.0, one.evaluation.values[ERROR] - self._least - self._gate)
        examples = self._task.selection.examples
        return share_interval(min(examples, round(rate * examples)), examples).high if kind.flips_whole else rate

    def within(self, one: Candidate, limit: float) -> bool:
        """Whether a model keeps a limit, with the upper end of its interval."""
        bounded = self._runtime is not None and self._task.kind.flips_whole
        if bounded and self._rate(one, None).rate - self._gate > limit:
            return False  # before it is converted
        return self.of(one).high <= limit

    def of(self, one: Candidate) -> FlipRate:
        """Run a model over the selection split, and return its flip rate."""
        return self._rate(one, self._runtime)

    def _rate(self, one: Candidate, runtime: str | None) -> FlipRate:
        """Return the flip rate of a model in int8, or as the search looks at it."""
        name = (runtime, *one.evaluation.model)
        if name not in self._known:
            ((outputs,),) = outputs_of(self.folder, self._supernet, self._vocabularies, _selection, [one], runtime)
            answers = Answers.of(self._metric, [outputs], [self._answered])
            self._known[name] = flip_rate(answers, seed=self.folder.project.seed)
        return self._known[name]


def _selection(task: Task) -> list[Split]:
    return [task.selection]


def first_that_agrees(
    flips: FlipRates,
    known: Sequence[Candidate],
    budgets: Mapping[str, float],
    loose: Mapping[str, float],
    named: Candidate | None,
    keeps: Callable[[Candidate], bool],
) -> Candidate:
    """Return the cheapest model that keeps its flip rate, with the upper end of its interval, and its other budgets.

    Args:
        flips: of the run.
        known: all models, with predicted values.
        budgets: a flip rate among them.
        loose: the budgets that predictions are held to.
        named: what was named before; it comes first.
        keeps: tells whether a model keeps the budgets of latency and memory as measured.

    Raises:
        InputError: none keeps them.
    """
    cost, limit = cost_names(budgets)[0], budgets[FLIP_RATE]
    others = {name: value for name, value in budgets.items() if name != FLIP_RATE}
    within = [one for one in known if all(one.values[name] <= loose[name] for name in others)]
    ordered = sorted((one for one in within if flips.least(one) <= limit), key=lambda one: _key(one, cost))
    if named is not None:
        ordered = [named, *(one for one in ordered if one is not named)]
    with flips.folder.tell.progress("flip rates") as tick:
        for done, one in enumerate(ordered):
            tick(done, len(ordered))
            if flips.within(one, limit) and keeps(one):
                tick(len(ordered), len(ordered))
                return one
        tick(len(ordered), len(ordered))
    close = min(within or known, key=lambda one: (flips.least(one), -one.values[cost]))
    raise nothing_within(budgets, replace(close, values=close.values | {FLIP_RATE: flips.of(close).high}))


def _key(one: Candidate, cost: str) -> tuple[float, float]:
    return one.values[cost], one.values[ERROR]
