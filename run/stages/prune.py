"""Subnetworks without a search."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np

from ...errors import InputError
from ...evaluation.archive import Archive
from ...evaluation.evaluation import NONZERO, REPORT, SCALED, Evaluation
from ...evaluation.objectives import OBJECTIVES
from ...evaluation.weights import Weights
from ...pruners import Pruned, Pruner, make_pruner
from ...pruners.agreement import check_pruned
from ...pruners.base import TrainedPruner
from ...search_space import SubnetMask
from ...supernet import Supernet
from ...tasks import Task
from ..archives import archive_of
from ..folder import RunFolder
from ..model import model_name
from ..processes import check_alone
from ..project import open_supernet
from ..recipes import DEFAULTS, changed_options, make_row, own_settings
from ..scoring import Scorer
from ..settings.parsing import parse_densities
from ..settings.prune import PruneSettings
from ..telling import duration
from .diverging import ends_where_it_diverges
from .trained_pruners import resumable
from .watching import tracking

_CALIBRATION, _TEXTS = 5, 6  # what a seed is drawn for


@dataclass(frozen=True)
class Job:
    """One model to make.

    Attributes:
        pruner: how.
        seed: of all that is random.
        recipe: what was asked for, as the archive keeps it.
        weights: whose they are then.
    """

    pruner: Pruner
    seed: int
    recipe: dict[str, float | str]
    weights: Weights

    @property
    def density(self) -> float:
        """The one that was asked for."""
        return float(self.recipe["density"])

    def __str__(self) -> str:
        return f"{self.pruner.name} at {self.density:g}"


def prune_stage(
    folder: RunFolder, load_task: Callable[[], Task], settings: PruneSettings, trackers: tuple[str, ...] = ()
) -> None:
    """Prune by each method at each density; every model is kept in the run's archive, and not made again.

    Args:
        folder: the run.
        load_task: gives its task, once the settings are known to be right.
        settings: what is asked for.
        trackers: where else curves of trainings go.

    Raises:
        InputError: unknown methods, densities or costs that a method cannot do, or labels that are missing.
    """
    check_alone("prune")
    methods = list(dict.fromkeys(name.strip() for name in settings.method.split(",")))
    for name in methods:
        make_pruner(name)
    densities = parse_densities(settings.density)
    with folder.writing():
        _prune(folder, load_task(), settings, methods, densities, trackers)


def _prune(
    folder: RunFolder,
    task: Task,
    settings: PruneSettings,
    methods: list[str],
    densities: tuple[float, ...],
    trackers: tuple[str, ...],
) -> None:
    scorer = Scorer.open(folder, task, settings.latency, settings.precision)
    supernet = scorer.supernet if settings.origin == "finetuned" else open_supernet(folder)[0]
    seed = folder.project.seed if settings.seed is None else settings.seed
    asked = {"cost": settings.cost, "from": settings.origin}
    asked |= {} if settings.texts is None else {"texts": settings.texts}
    # All densities of a method by one object, which remembers its scores.
    of_methods = [
        make_job(scorer, name, seed, {"density": densities[0], **asked, **changed_options(settings, name)}, settings)
        for name in methods
    ]
    jobs = [replace(job, recipe={**job.recipe, "density": d}) for job in of_methods for d in densities]
    for job in jobs:
        job.pruner.check(supernet, job.density)
        check_labels_are_there(job.pruner, task)
    shown = seen_by(task, settings.texts, seed)
    with (
        archive_of(folder) as archive,
        ends_where_it_diverges(
            folder, "prune", folder.state("prune"), made=lambda: True
        ),  # each model has its own settings
        folder.stage("prune", settings),
        folder.tell.progress("prune") as tick,
    ):
        scorer.keep_whole(archive)
        for done, job in enumerate(jobs):
            if is_there(archive, job):
                folder.tell.say(f"{job}: in the archive already")
                continue
            attempt = _attempt(scorer, job, lambda note, done=done: tick(done, len(jobs), note), trackers)
            tick(done, len(jobs), str(job))
            row = _made(scorer, archive, supernet, shown, job, attempt)
            tick(done + 1, len(jobs), f"{job}: {row.key}, {duration(row.seconds)}")
        shutil.rmtree(folder.state("prune"), ignore_errors=True)
    folder.tell.say(f"prune: in {folder.archive}; `secateur compare {folder.path}` shows all methods")


def make_job(
    scorer: Scorer, method: str, seed: int, asked: Mapping[str, float | str], settings: PruneSettings = DEFAULTS
) -> Job:
    """Return what is to be made.

    Args:
        scorer: its model and latency table say what a subnetwork costs.
        method: a name of PRUNERS.
        seed: of all that is random.
        asked: the recipe: `density`, `cost`, `from`, `texts` if they are limited, and options of the method's own that
            differ from its defaults.
        settings: the command's, for what does not change the result.

    Raises:
        InputError: a cost that the method does not know.
    """
    cost = asked["cost"]
    priced = None if cost in ("encoder_parameters", NONZERO) else OBJECTIVES[str(cost)](scorer.supernet, scorer.table)
    priced_by = None if priced is None else priced.of
    pruner = make_pruner(method, cost=priced_by, settings=own_settings(method, asked, settings))
    recipe = {**asked, "cost": NONZERO if pruner.makes_zeros else cost}
    untrained = Weights.FINETUNED if asked["from"] == "finetuned" else Weights.SUPERNET_PRUNED
    return Job(pruner, seed, recipe, Weights.NATIVE if pruner.recovery == "native" else untrained)


def check_labels_are_there(pruner: Pruner, task: Task) -> None:
    """Refuse a method that needs labels on a training split that lacks some: NaN, or below 0 as GLUE's test splits.

    Raises:
        InputError: it does.
    """
    missing = task.kind.unlabelled(task.train)
    if pruner.needs_labels and missing:
        raise InputError(
            f"{pruner.name} needs labels, but {missing} of the {len(task.train)} training texts of {task.name} have "
            "none; choose a method without labels, such as kcm, or label them"
        )


def seen_by(task: Task, texts: int | None, seed: int) -> Task:
    """Return the task with only so many texts of its training split, drawn by the seed; as it is if None."""
    if texts is None or texts >= len(task.train):
        return task
    rows = np.random.default_rng([seed, _TEXTS]).choice(len(task.train), texts, replace=False)
    return replace(task, train=task.train.take(np.sort(rows)))


def is_there(archive: Archive, job: Job) -> bool:
    """Tell whether a model was made and scored before."""
    rows = archive.evaluations(split=REPORT, method=job.pruner.name, weights=job.weights)
    return any(row.seed == job.seed and row.recipe == job.recipe for row in rows)


def run_pruner(supernet: Supernet, task: Task, job: Job) -> tuple[Pruned, bool]:
    """Prune and check; the same job gives the same model. Tells too whether its weights are other than slices."""
    # The same texts for all densities, so that their masks are nested where the method's are.
    pruned = job.pruner.prune(supernet, task, job.density, np.random.default_rng([job.seed, _CALIBRATION]))
    if job.pruner.recovery == "refit":
        return pruned, True  # its weights are no slices, and are kept like those with scales
    return pruned, job.weights is not Weights.NATIVE and check_pruned(supernet, task, pruned)


def _made(
    scorer: Scorer, archive: Archive, supernet: Supernet, task: Task, job: Job, attempt: AbstractContextManager[float]
) -> Evaluation:
    """Make a model, score it and commit it."""
    with attempt as lost:
        pruned, scaled = run_pruner(supernet, task, job)
        done = pruned.provenance
        values = {
            "density": pruned.density,
            "texts": float(done.texts),
            "labels": float(done.labels),
            "gradients": float(done.gradients),
            "epochs": float(done.epochs),
        }
        if job.weights is not Weights.NATIVE:
            values[SCALED] = float(scaled)
        if job.recipe["cost"] == NONZERO:
            values[NONZERO] = pruned.density
        row = make_row(pruned.mask, job.pruner.name, job.seed, job.weights, job.recipe, values, done.seconds + lost)
        scorer.keep(archive, pruned.model, row, latency=job.pruner.has_latency)
    return row


def _attempt(
    scorer: Scorer, job: Job, note: Callable[[str], None], trackers: tuple[str, ...]
) -> AbstractContextManager[float]:
    """Return the context in which a model is made; it yields the seconds that attempts took which were killed."""
    if not isinstance(job.pruner, TrainedPruner):
        return nullcontext(0.0)
    whole = SubnetMask.full(scorer.supernet.shape)

    def name(recipe: dict[str, float | str]) -> str:
        return model_name(make_row(whole, job.pruner.name, job.seed, job.weights, recipe, {}, 0.0))

    shared = {key: value for key, value in job.recipe.items() if key != "density"}
    mine, own = name(job.recipe), own_settings(job.pruner.name, job.recipe)
    told = {**({} if own is None else own.model_dump()), **job.recipe}
    track = tracking(scorer.folder, f"prune/{mine}", trackers, told)
    return resumable(scorer, job.pruner, mine, name(shared), str(job), note, track)
