"""What models of a run say, in the precision of its search or in int8."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ...evaluation.choice import Candidate
from ...evaluation.error import SplitError
from ...evaluation.served_error import ServedError
from ...evaluation.weights import Weights
from ...search_space import TokenSet
from ...supernet import Supernet
from ...tasks import Task
from ...tasks.split import Split
from ..basis import INT8, Basis
from ..folder import RunFolder
from ..model import open_subnet
from ..precision import outputs_in, split_error
from ..vocabulary import Vocabularies


def outputs_of(
    folder: RunFolder,
    supernet: Supernet,
    vocabularies: Vocabularies,
    splits_of: Callable[[Task], Sequence[Split]],
    chosen: Sequence[Candidate],
    int8: str | None = None,
) -> list[list[np.ndarray]]:
    """Return the outputs of models on some splits, model by model, in the precision of the search.

    Args:
        folder: the run.
        supernet: where models are cut from.
        vocabularies: the run's task, as models read it.
        splits_of: names the splits of a task.
        chosen: the models.
        int8: run them in int8 as this runtime does, whatever the search looked at.
    """
    basis = Basis.of(folder)
    assert basis is not None
    precision, runtime = (basis.dtype, basis.latency.runtime) if int8 is None else (INT8, int8)
    cut: dict[TokenSet | None, list[SplitError | ServedError]] = {}
    for tokens in dict.fromkeys(one.evaluation.mask.tokens for one in chosen):
        task = vocabularies.uncut_task(tokens)
        cut[tokens] = [split_error(precision, supernet, split, task, runtime) for split in splits_of(task)]
    found = []
    for one in chosen:
        mask, tokens = one.evaluation.mask.with_tokens(None), one.evaluation.mask.tokens
        if one.evaluation.weights is not Weights.SUPERNET:
            model, task = open_subnet(folder, supernet, one.evaluation), vocabularies.uncut_task(tokens)
            outputs = outputs_in(precision, model, splits_of(task), task, runtime)
        else:
            outputs = [split.outputs(mask, (mask.depth,))[mask.depth] for split in cut[tokens]]
        found.append(outputs)
    return found
