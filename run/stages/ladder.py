"""A ladder of models, each cut from the one before it, refitted, and distilled from the fine-tuned model."""

from __future__ import annotations

import copy
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zlib import crc32

import numpy as np

from ...digests import read_json, write_json
from ...errors import InputError, unknown_name
from ...evaluation.archive import Archive
from ...evaluation.evaluation import REPORT, SELECTION, WHOLE, Evaluation
from ...evaluation.model import Home, model_of
from ...evaluation.objectives import ERROR, OBJECTIVES
from ...evaluation.weights import Weights
from ...pruners.base import Cost
from ...pruners.block_losses import BlockLosses
from ...pruners.budget import best_mask
from ...pruners.importance import IMPORTANCES
from ...search_space import SubnetMask, UnitScores
from ...supernet import Supernet
from ...supernet.extraction import extract, kept_layers, put_back
from ...supernet.refit import WholeSums, refit
from ...supernet.stored.storage import load_model
from ...supernet.training.supernet_training import Progress
from ...tasks import Task
from ..archives import archive_of
from ..choice.ladder import Ladder
from ..constant import judged, notes_of
from ..data_facts import data_facts
from ..folder import RunFolder
from ..model import is_kept, weights_folder
from ..processes import check_alone
from ..recipes import make_row
from ..scoring import Scorer
from ..settings.ladder import BLOCKS, SHARES, LadderSettings
from ..settings.parsing import parse_amounts, parse_shares
from ..settings.recovery import RecoverOptions
from ..ship.recovery import distilled
from ..ship.refit import whole_sums
from ..stopwatch import Stopwatch
from ..telling import Ticker, duration
from .diverging import ends_where_it_diverges
from .rung_time import RungTime
from .supernet import importance_scores
from .watching import tracking

STAGE, METHOD = "ladder", "ladder"
ENCODER = "encoder_parameters"
_SENSITIVITY, _ORDER = 8, 9  # what a seed is drawn for
_TRAINED = 3  # forward passes that a step of the learner costs, beside the one of the fine-tuned model
_FROM_SEARCH = 3  # of its models within a rung's budget: whose sizes are tried
_RECIPE = {"steps", "learning_rate", "batch_size", "importance"}  # the same for all rungs of a run


@dataclass(frozen=True)
class Budget:
    """What a rung may cost.

    Attributes:
        title: as it was asked for.
        cost: the objective's name.
        limit: most of it.
        share: of the encoder's parameters, if that was asked for.
    """

    title: str
    cost: str
    limit: float
    share: float | None = None

    @property
    def name(self) -> str:
        """As files are called."""
        return f"{self.cost}-{self.limit:g}"

    @property
    def recipe(self) -> dict[str, float | str]:
        """As the archive keeps it."""
        return {"cost": self.cost, "limit": self.limit}


def check(settings: LadderSettings) -> None:
    """Refuse what cannot be read or does not exist before anything is computed."""
    if settings.importance not in (BLOCKS, *IMPORTANCES):
        raise unknown_name("importance", settings.importance, (BLOCKS, *IMPORTANCES))
    if settings.shares is not None:
        parse_shares(settings.shares)
    if settings.latency_ms is not None:
        parse_amounts(settings.latency_ms, "latency_ms")


def ladder_stage(
    folder: RunFolder,
    task: Task,
    settings: LadderSettings,
    trackers: tuple[str, ...] = (),
    home: Home | None = None,
) -> Ladder:
    """Make the rungs that are not there yet, the largest first, and return those that were asked for.

    A rung begins as a cut of the smallest one above it: in the units that lose least there when the others' outgoing
    maps are solved for anew, as many in each block as the blocks' losses, or the best models that a search has found,
    say; of these cuts the one that is closest to the fine-tuned model. Or in the units that an importance ranks
    highest. Then it learns from the fine-tuned model's predictions and hidden states. Each is committed as it is done,
    and one that was killed goes on.

    Source: Kurtic et al., "ZipLM: inference-aware structured pruning of language models", NeurIPS 2023, whose gradual
    pruning gives a family of models in one run.

    Args:
        folder: the run.
        task: its task.
        settings: which rungs, and the recipe of each.
        trackers: where else the curves go.
        home: the run, which the models are to know.

    Raises:
        InputError: rungs that the archive has by another recipe, that are too small, or labels that are missing.
    """
    check_alone(STAGE)
    check(settings)
    missing = task.kind.unlabelled(task.train)
    if missing:
        raise InputError(
            f"the ladder learns labels beside the whole model, but {missing} of the {len(task.train)} training texts "
            f"of {task.name} have none; label them, or `prune` with a method without labels, such as kcm"
        )
    begin = time.monotonic()
    with folder.writing():
        scorer = Scorer.open(folder, task)
        costs = {name: make(scorer.supernet, scorer.table).of for name, make in OBJECTIVES.items()}
        budgets = _budgets(settings, costs, scorer.supernet)
        _check_same_recipe(folder, settings)
        with archive_of(folder) as archive:
            rungs = _Rungs(scorer, archive, settings, costs, trackers)
            if settings.shares is None and settings.latency_ms is None:
                budgets = [budget for budget in budgets if rungs.floor(budget.cost) <= budget.limit]
            todo = [budget for budget in budgets if rungs.row(budget) is None]
            if todo or not folder.complete(STAGE):  # or it was killed when all was made but the record
                rungs.check(todo)
                ending = ends_where_it_diverges(folder, STAGE, folder.state(STAGE), made=rungs.any_made)
                with ending, folder.stage(STAGE, settings), folder.tell.progress(STAGE) as tick:
                    rungs.make(todo, tick, begin)
                folder.tell.say(f"ladder: {duration(folder.seconds(STAGE))}, in {folder.ladder}")
            else:
                folder.tell.say(f"ladder: complete, in {folder.ladder}")
            shutil.rmtree(folder.state(STAGE), ignore_errors=True)
            return _shown(folder, archive, rungs, budgets, home)


def _budgets(settings: LadderSettings, costs: dict[str, Cost], supernet: Supernet) -> list[Budget]:
    """Return what was asked for, the dearest first."""
    if settings.latency_ms is not None:
        found = [
            Budget(f"{limit:g} ms", "latency_ms", limit) for limit in parse_amounts(settings.latency_ms, "latency_ms")
        ]
    else:
        whole = costs[ENCODER](SubnetMask.full(supernet.shape))
        titles = [part.strip() for part in (settings.shares or SHARES).split(",")]
        shares = {parse_shares(title)[0]: title for title in titles}
        found = [Budget(title, ENCODER, float(share * int(whole)), float(share)) for share, title in shares.items()]
    return sorted(found, key=lambda budget: -budget.limit)


def _check_same_recipe(folder: RunFolder, settings: LadderSettings) -> None:
    """Refuse to put rungs of two recipes on one ladder."""
    stage = folder.record["stages"].get(STAGE)
    if stage is None:
        return
    for name, value in settings.model_dump(mode="json", include=_RECIPE).items():
        if stage["settings"][name] != value:
            raise InputError(
                f"the ladder of {folder.path} has rungs with {name} {stage['settings'][name]!r}, these would have "
                f"{value!r}; go on with that, or choose another `out` for another run"
            )


class _Rungs:
    """The rungs of a run: those that are there, and how another one is made.

    Args:
        scorer: scores them like all other models.
        archive: the run's.
        settings: the recipe.
        costs: by objective.
        trackers: where else the curves go.
    """

    def __init__(
        self,
        scorer: Scorer,
        archive: Archive,
        settings: LadderSettings,
        costs: dict[str, Cost],
        trackers: tuple[str, ...],
    ) -> None:
        self._scorer, self._folder, self._task = scorer, scorer.folder, scorer.task
        self._archive, self._settings, self._costs, self._trackers = archive, settings, costs, trackers
        self._full = SubnetMask.full(scorer.supernet.shape)
        self._seed = scorer.folder.project.seed
        self._scoring = 5.0  # seconds that a rung's scoring takes; as it was with the last one

    def row(self, budget: Budget, split: str = SELECTION) -> Evaluation | None:
        """Return the evaluation of the rung for a budget; None if it is not there."""
        return next((one for one in self._rows(split) if one.recipe == budget.recipe), None)

    def any_made(self) -> bool:
        """Tell whether there is a rung beside the whole model."""
        return any(not one.mask.is_full for one in self._rows(SELECTION))

    def check(self, todo: Sequence[Budget]) -> None:
        """Refuse budgets that the smallest network exceeds, before anything is trained."""
        for budget in todo:
            if (least := self.floor(budget.cost)) > budget.limit:
                raise InputError(
                    f"a rung of {budget.title} may cost {budget.limit:g} in {budget.cost}, the smallest network costs "
                    f"{least:g}; ask for more"
                )

    def floor(self, cost: str) -> float:
        """Return the least that a network costs: a single block, or one head and one neuron in each layer."""
        shape = self._scorer.supernet.shape
        ones, none = [1] * shape.num_layers, [0] * shape.num_layers
        one = [1, *none[1:]]
        least = [(one, none), (none, one)] if self._settings.importance == BLOCKS else [(ones, ones)]
        return min(self._costs[cost](SubnetMask.from_counts(shape, heads, neurons)) for heads, neurons in least)

    def make(self, todo: Sequence[Budget], tick: Ticker, begin: float) -> None:
        """Make rungs, the dearest first; each is committed as it is done. The minutes count from `begin`."""
        minutes = self._settings.minutes
        ends = None if minutes is None else begin - self._folder.seconds(STAGE) + 60 * minutes

        def clock(
            ends: float, note: str = ""
        ) -> None:  # cuts take more seconds than steps do, and some rungs have none
            of = max(1, round(ends - begin))
            tick(min(round(time.monotonic() - begin), of), of, note)

        if ends is not None:
            clock(ends)
        self._stand_on_the_whole_model()
        for done, budget in enumerate(todo):

            def report(step: Progress, done: int = done, title: str = budget.title) -> None:
                note = f"{title}: loss {step.loss:.3f}"
                if ends is None:
                    tick(done * step.total + step.done, len(todo) * step.total, note)
                else:
                    clock(ends, note)

            self._make(budget, None if ends is None else self._time(ends, todo[done:]), report)
            shutil.rmtree(self._state(budget), ignore_errors=True)

    def _make(self, budget: Budget, left: RungTime | None, report: Callable[[Progress], None]) -> None:
        above = self._above(budget)
        begin = time.monotonic()
        target = whole_sums(start := self._opened(above), self._task, self._seed, above.mask)
        cut = self._cut_as_begun(target, above, budget, left)
        same = next((one for one in self._rows(SELECTION) if one.key == cut.key), None)
        if same is not None:  # budgets so near one another that the same units fit
            both = [replace(one, recipe=budget.recipe) for one in (*self._rows(SELECTION), *self._rows(REPORT))]
            self._archive.add([one for one in both if one.key == cut.key])
            return
        options = RecoverOptions(**self._settings.model_dump(include=set(RecoverOptions.model_fields)))
        options = options.model_copy(update={"steps": self._steps(cut)})
        if left is not None:
            options = options.model_copy(update={"minutes": left.training() / 60})
        told = {**options.model_dump(), **budget.recipe}
        track = tracking(self._folder, f"ladder/{cut.key}", self._trackers, told)

        def both_told(step: Progress) -> None:
            report(step)
            track(step)

        state = self._state(budget) / cut.key  # another cut of the same budget shares nothing with it
        with track, Stopwatch(state / "seconds", before=time.monotonic() - begin) as watch:
            model = extract(start.model, cut)
            refit(model, cut, target)
            whole = copy.deepcopy(self._scorer.supernet.model)
            distilled(whole, model, self._task, options, self._order(budget), state, both_told, kept_layers(cut))
        row = make_row(cut, METHOD, self._seed, Weights.LADDER, budget.recipe, {}, watch.seconds)
        scored = time.monotonic()
        self._scorer.keep(self._archive, model, row)
        self._scoring = time.monotonic() - scored

    def _time(self, ends: float, todo: Sequence[Budget]) -> RungTime:
        """Return the time for the first of the rungs that are to be made."""
        above = self._costs[todo[0].cost](self._above(todo[0]).mask)
        return RungTime(ends, above, [one.limit for one in todo], self._scoring)

    def _state(self, budget: Budget) -> Path:
        return self._folder.state(STAGE) / budget.name

    def _steps(self, cut: SubnetMask) -> int:
        """Return a rung's steps: those of half the encoder are told, all rungs are to take as long."""
        shape = self._scorer.supernet.shape
        share = cut.encoder_parameters(shape) / shape.encoder_parameters
        return max(1, round(self._settings.steps * (1 + _TRAINED / 2) / (1 + _TRAINED * share)))

    def _order(self, budget: Budget) -> int:
        """Return the seed of the order of a rung's texts: in the same one, each rung would learn from the same few."""
        return int(np.random.default_rng([self._seed, _ORDER, crc32(budget.name.encode())]).integers(2**31))

    def _stand_on_the_whole_model(self) -> None:
        """Make the fine-tuned model the first rung, unless it is."""
        self._scorer.keep_whole(self._archive)
        if not any(one.mask.is_full for one in self._rows(SELECTION)):
            budget = Budget("1", ENCODER, self._costs[ENCODER](self._full))
            rows = self._archive.evaluations(weights=Weights.FINETUNED, method=WHOLE)
            self._archive.add(
                [replace(one, method=METHOD, weights=Weights.LADDER, recipe=budget.recipe) for one in rows]
            )

    def _rows(self, split: str) -> list[Evaluation]:
        """Return the rungs that there are models of: one whose folder is gone is made again."""
        rows = self._archive.evaluations(split=split, weights=Weights.LADDER)
        return [one for one in rows if is_kept(self._folder, one)]

    def _above(self, budget: Budget) -> Evaluation:
        """Return the smallest rung that is dearer than a budget, or else the whole model."""
        cost, rows = self._costs[budget.cost], self._rows(SELECTION)
        dearer = [one for one in rows if cost(one.mask) > budget.limit]
        return min(dearer or rows, key=lambda one: cost(one.mask) if dearer else -cost(one.mask))

    def _opened(self, rung: Evaluation) -> Supernet:
        """Return a model of the whole one's shape that holds a rung's weights where it was cut from."""
        holder = Supernet(copy.deepcopy(self._scorer.supernet.model))
        path = weights_folder(self._folder, rung)
        if path is not None:
            put_back(load_model(path).to(holder.device), rung.mask, holder)  # pyright: ignore[reportArgumentType]
        return holder

    def _cut_as_begun(self, target: WholeSums, above: Evaluation, budget: Budget, left: RungTime | None) -> SubnetMask:
        """Return the cut that an attempt that was killed had come to, or find one.

        How many are looked at may depend on the clock, and a training goes on with the cut that it began with.
        """
        path, advice = self._state(budget) / "cut.json", f"delete {self._state(budget)}"
        if path.is_file() and (begun := read_json(path, advice))["above"] == above.key:
            return SubnetMask.from_json(begun["cut"])
        cut = self._cut(target, budget, None if left is None else left.choosing_ends)
        write_json(path, {"above": above.key, "cut": cut.to_json()})
        return cut

    def _cut(self, target: WholeSums, budget: Budget, until: float | None) -> SubnetMask:
        """Return what is left of a rung's units within a budget: those that matter most."""
        cost, mask = self._costs[budget.cost], target.mask
        if self._settings.importance == BLOCKS:
            losses = BlockLosses.of(target, np.random.default_rng([self._seed, _SENSITIVITY]))
            teacher, rng = self._scorer.supernet.model, np.random.default_rng([self._seed, _SENSITIVITY, 1])
            return losses.best_cut(cost, budget.limit, teacher, self._task.kind, rng, self._found(budget), until)
        scores = importance_scores(self._folder, self._scorer.supernet, self._task, self._settings.importance)
        left = UnitScores(scores.heads * mask.heads, scores.neurons * mask.neurons, scores.comparable)
        found = best_mask(target.whole.shape, left, cost, budget.limit)
        return SubnetMask(found.heads & mask.heads, found.neurons & mask.neurons, found.hidden)

    def _found(self, budget: Budget) -> list[SubnetMask]:
        """Return the best networks within a budget that searches have found."""
        cost, limit = self._costs[budget.cost], budget.limit
        rows = self._archive.evaluations(split=SELECTION, weights=(Weights.SUPERNET, Weights.SOLVED, Weights.STANDARD))
        within = [one for one in rows if one.mask.tokens is None and cost(one.mask) <= limit]
        return [one.mask for one in sorted(within, key=lambda one: one.values[ERROR])[:_FROM_SEARCH]]


def _shown(folder: RunFolder, archive: Archive, rungs: _Rungs, budgets: Sequence[Budget], home: Home | None) -> Ladder:
    shape, found = data_facts(folder).shape, []
    for budget in budgets:
        selection, report = rungs.row(budget), rungs.row(budget, REPORT)
        assert selection is not None
        share = selection.mask.encoder_parameters(shape) / shape.encoder_parameters
        found.append((model_of(selection, report, home), budget.share or share, selection.seconds))
    models, shares, seconds = zip(*found, strict=True)
    models = judged(folder, models)
    title = f"{folder.project.task}: {folder.path.name}, ladder"
    titles = [budget.title for budget in budgets]
    return Ladder(models, title, ENCODER, notes_of(folder, archive, models), titles, shares, seconds)
