"""The front, looked at once more: its error on the report split, its latency measured end to end."""

from __future__ import annotations

import time
from dataclasses import replace

from transformers import PreTrainedModel

from ...evaluation.archive import Archive
from ...evaluation.error import SplitError
from ...evaluation.evaluation import METHOD, REPORT, SELECTION, Evaluation
from ...evaluation.latency import LatencyTable
from ...evaluation.objectives import ERROR, OBJECTIVES
from ...evaluation.served_error import ServedError
from ...evaluation.weights import ONE_PER_MASK
from ...search_space import SubnetMask, TokenSet
from ...supernet import Supernet
from ...supernet.extraction import extract_subnet
from ...tasks import Task
from ..evaluators import split_errors
from ..folder import RunFolder
from ..latency import OnMachine, here
from ..model import open_subnet
from ..precision import error_in_int8, outputs_in
from ..scores import doubtful, score_outputs, timed
from ..settings.search import SearchSettings
from ..vocabulary import Vocabularies


def front_models(archive: Archive, whole: str) -> list[Evaluation]:
    """Return what a search has on a front of error against one cost, of each kind of weights by itself, each once.

    Args:
        archive: where from.
        whole: key of the whole network, which comes first.
    """
    found = [archive.lookup(whole, SELECTION, weights=weights) for weights in ONE_PER_MASK]
    found += [
        one for weights in ONE_PER_MASK for cost in OBJECTIVES for one in archive.front((ERROR, cost), weights=weights)
    ]
    return list({one.model: one for one in found if one is not None}.values())


def rescore(
    folder: RunFolder,
    archive: Archive,
    supernet: Supernet,
    vocabularies: Vocabularies,
    table: LatencyTable,
    settings: SearchSettings,
    on_machine: OnMachine = here,
) -> None:
    """Evaluate what is on a front and was not yet, on the report split; each model is committed as it is done.

    Of models without weights of their own those that the settings look at.

    Args:
        folder: the run.
        archive: whose fronts; takes the results.
        supernet: where its subnetworks are cut from.
        vocabularies: its report split, as models read it.
        table: its target is what models are timed for.
        settings: precision of the errors.
        on_machine: calls a function with arguments on the machine whose latency counts.
    """
    known = {one.model for one in archive.evaluations(split=REPORT)}
    models = front_models(archive, SubnetMask.full(supernet.shape).key)
    models = [one for one in models if one.weights.origin is None or one.weights == settings.weights]
    todo = [one for one in models if one.model not in known]
    if not todo:
        return
    errors: dict[TokenSet | None, dict[str, SplitError | ServedError]] = {}
    spelled = dict.fromkeys(one.mask.tokens for one in todo)
    shared = settings.model_copy(update={"prefix_mb": settings.prefix_mb // len(spelled)})
    for tokens in spelled:
        task = vocabularies.uncut_task(tokens)
        errors[tokens] = split_errors(supernet, task, task.report, shared)
    with folder.tell.progress("front") as tick:
        for done, one in enumerate(todo):
            begin = time.perf_counter()
            if one.weights.origin is None:
                model, values = _own_values(folder, supernet, vocabularies.task, one, settings)
            else:
                whole, depth, tokens = one.mask.with_tokens(None), one.mask.depth, one.mask.tokens
                model = vocabularies.cut(extract_subnet(supernet, whole), one.mask)
                vocabularies.check(model, supernet, one.mask)
                outputs = [error.outputs(whole, (depth,))[depth] for error in errors[tokens].values()]
                costs = {name: make(supernet, table).of(one.mask) for name, make in OBJECTIVES.items()}
                values = costs | score_outputs(vocabularies.own_task(tokens), outputs)
            own = vocabularies.own_task(one.mask.tokens)
            values |= error_in_int8(settings.precision, values, model, own, table.target)
            expected = values.get("latency_ms")
            values |= on_machine(timed, model.cpu(), table.target, expected)
            if warning := doubtful(one.key, values["latency_ms"], expected):
                folder.tell.say(warning)
            seconds = time.perf_counter() - begin
            row = replace(one, x=None, method=METHOD, seed=folder.project.seed, split=REPORT, asked=True)
            archive.add([replace(row, values=values, seconds=seconds)])
            tick(done + 1, len(todo))


def _own_values(
    folder: RunFolder,
    supernet: Supernet,
    task: Task,
    one: Evaluation,
    settings: SearchSettings,
) -> tuple[PreTrainedModel, dict[str, float]]:
    """Return a model with weights of its own, and score it on the report split."""
    model = open_subnet(folder, supernet, one)
    splits, runtime = [*task.report.values()], settings.latency.runtime
    return model, one.values | score_outputs(task, outputs_in(settings.precision, model, splits, task, runtime))
