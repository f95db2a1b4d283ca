"""The second stage: all subnetworks are trained together."""

from __future__ import annotations

import shutil

import numpy as np

from ...errors import InputError, unknown_name
from ...pruners.importance import IMPORTANCES
from ...search_space import SPACES, UnitScores
from ...supernet import Supernet
from ...supernet.reordering import reorder
from ...supernet.stored.storage import load_tokenizer, save_model
from ...supernet.training.settings import SupernetSettings
from ...supernet.training.strategies import STRATEGIES
from ...supernet.training.supernet_training import train_supernet
from ...tasks import Task
from ..folder import RunFolder
from ..processes import first_process_first, is_first_process
from ..project import load_supernet, make_space
from ..telling import duration
from .watching import tracking, watched

UNSORTED = "none"


def check(settings: SupernetSettings) -> None:
    """Refuse names that do not exist before anything is computed."""
    if settings.strategy not in STRATEGIES:
        raise unknown_name("strategy", settings.strategy, STRATEGIES)
    if settings.importance not in (UNSORTED, *IMPORTANCES):
        raise unknown_name("importance", settings.importance, (UNSORTED, *IMPORTANCES))
    if settings.space not in SPACES:
        raise unknown_name("space", settings.space, SPACES)


def supernet_stage(folder: RunFolder, task: Task, settings: SupernetSettings, trackers: tuple[str, ...] = ()) -> None:
    """Write `supernet/`, unless it is complete."""
    check(settings)
    if folder.stage_is_done("supernet", settings):
        folder.tell.say(f"supernet: complete, in {folder.supernet}")
        return
    if not folder.complete("finetune"):
        raise InputError(f"{folder.path} has no complete finetune stage; run `secateur finetune` on it first")
    state = folder.path / "supernet.state"
    net = load_supernet(folder.finetuned)
    space = make_space(settings.space, net, elastic_hidden=settings.elastic_hidden)
    with folder.stage("supernet", settings):
        if settings.importance != UNSORTED:
            with first_process_first():
                reorder(net, importance_scores(folder, net, task, settings.importance))
        with watched(folder, "supernet", tracking(folder, "supernet", trackers, settings.model_dump())) as report:
            train_supernet(net, space, task, settings, seed=folder.project.seed, state=state, report=report)
        if is_first_process():
            save_model(net.model, load_tokenizer(folder.finetuned), folder.supernet)
    if is_first_process():
        shutil.rmtree(state, ignore_errors=True)
    folder.tell.say(f"supernet: {duration(folder.seconds('supernet'))}, in {folder.supernet}")


def importance_scores(folder: RunFolder, net: Supernet, task: Task, name: str) -> UnitScores:
    """Return the scores of the fine-tuned model's units, kept in `importance/`: a resumed training needs the same."""
    path = folder.path / "importance" / f"{name}.npz"
    if not path.is_file():
        with folder.tell.progress(f"importance ({name})") as tick:
            tick(0, 1)
            IMPORTANCES[name](net, task, np.random.default_rng([folder.project.seed, 4])).save(path)
            tick(1, 1)
    return UnitScores.load(path)
