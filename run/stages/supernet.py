"""The second stage: all subnetworks are trained together."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...digests import read_json, write_json
from ...errors import InputError, unknown_name
from ...pruners.calibration import calibration_batches
from ...pruners.importance import IMPORTANCES
from ...pruners.importance.width import width_scores
from ...search_space import SPACES, SearchSpace, UnitScores
from ...supernet import Supernet
from ...supernet.reordering import measured_layer_order, reorder, reorder_width
from ...supernet.stored.storage import load_tokenizer, save_model
from ...supernet.training.settings import SupernetSettings
from ...supernet.training.strategies import STRATEGIES
from ...supernet.training.supernet_training import train_supernet
from ...tasks import Task
from ..folder import RunFolder
from ..processes import first_process_first, is_first_process
from ..project import load_supernet, make_space
from ..telling import duration
from .diverging import ends_where_it_diverges
from .watching import tracking, watched

UNSORTED = "none"
_VALUES, _AGAIN = "values", "delete it, and the same command measures it again"
_TEXTS = 256  # that the order of layers is measured on


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
    folder.check_complete("finetune")
    state = folder.state("supernet")
    net = load_supernet(folder.finetuned)
    with ends_where_it_diverges(folder, "supernet", state), folder.stage("supernet", settings):
        space = prepared(folder, net, task, settings)
        with watched(folder, "supernet", tracking(folder, "supernet", trackers, settings.model_dump())) as report:
            train_supernet(net, space, task, settings, seed=folder.project.seed, state=state, report=report)
        if is_first_process():
            save_model(net.model, load_tokenizer(folder.finetuned), folder.supernet, sealed=True)
    if is_first_process():
        shutil.rmtree(state, ignore_errors=True)
    folder.tell.say(f"supernet: {duration(folder.seconds('supernet'))}, in {folder.supernet}")


def prepared(folder: RunFolder, net: Supernet, task: Task, settings: SupernetSettings) -> SearchSpace:
    """Put the units of the fine-tuned model in order, measure that of its layers, and return the space.

    Args:
        folder: keeps what is measured.
        net: changed; it computes what it did.
        task: whose training split is looked at.
        settings: of the supernet's training.
    """
    with first_process_first():
        if settings.layers == "measured" and SPACES[settings.space].counts_layers:
            net.layer_order = order = layer_order(folder, net, task)
            folder.tell.say(f"supernet: layers, from 0, those that stay longest first: {', '.join(map(str, order))}")
        if settings.importance != UNSORTED:
            reorder(net, importance_scores(folder, net, task, settings.importance))
            if settings.elastic_hidden:
                reorder_width(net, _width_scores(folder, net, task))
    return make_space(settings.space, net, elastic_hidden=settings.elastic_hidden)


def importance_scores(folder: RunFolder, net: Supernet, task: Task, name: str) -> UnitScores:
    """Return the scores of the fine-tuned model's units, kept in `importance/`: a resumed training needs the same."""
    path = folder.path / "importance" / f"{name}.npz"
    if not path.is_file():
        with folder.tell.progress(f"importance ({name})") as tick:
            tick(0, 1)
            IMPORTANCES[name](net, task, np.random.default_rng([folder.project.seed, 4])).save(path)
            tick(1, 1)
    try:
        scores = UnitScores.load(path)
    except ValueError as error:
        raise InputError(f"{error}; {_AGAIN}") from error
    if scores.heads.shape != (net.shape.num_layers, net.shape.num_heads) or scores.neurons.shape[1:] != (
        net.shape.intermediate_size,
    ):
        raise InputError(f"{path} has the scores of another model; {_AGAIN}")
    return scores


def layer_order(folder: RunFolder, net: Supernet, task: Task) -> tuple[int, ...]:
    """Return the order in which the fine-tuned model's layers stay, kept in `importance/` as scores are."""
    path = folder.path / "importance" / "layers.json"
    if not path.is_file():
        texts = calibration_batches(net, task, _TEXTS, np.random.default_rng([folder.project.seed, 6]))
        with folder.tell.progress("order of layers") as tick:
            tick(0, 1)
            _keep(path, measured_layer_order(net, list(texts), task.kind))
            tick(1, 1)
    order = tuple(_kept(path))
    if sorted(order) != list(range(net.shape.num_layers)):
        raise InputError(f"{path} is no order of the model's {net.shape.num_layers} layers; {_AGAIN}")
    return order


def _width_scores(folder: RunFolder, net: Supernet, task: Task) -> NDArray[np.float64]:
    """Return the scores of the fine-tuned model's residual dimensions, kept in `importance/`."""
    path = folder.path / "importance" / "width.json"
    if not path.is_file():
        with folder.tell.progress("importance (width)") as tick:
            tick(0, 1)
            _keep(path, width_scores(net, task, np.random.default_rng([folder.project.seed, 7])).tolist())
            tick(1, 1)
    scores = np.array(_kept(path))
    if scores.shape != (net.shape.hidden_size,) or scores.dtype.kind not in "fi":
        raise InputError(f"{path} has no score for each of the model's {net.shape.hidden_size} dimensions; {_AGAIN}")
    return scores


def _keep(path: Path, values: Sequence[float]) -> None:
    path.parent.mkdir(exist_ok=True)
    write_json(path, {_VALUES: list(values)})


def _kept(path: Path) -> list[Any]:
    """Return what :func:`_keep` wrote, or a version before it, which had the list alone and no digest."""
    found = read_json(path, _AGAIN)
    if isinstance(found, list):
        return found
    if not isinstance(found.get(_VALUES), list):
        raise InputError(f"{path} is damaged (no list of values); {_AGAIN}")
    return found[_VALUES]
