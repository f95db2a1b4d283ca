"""What models of a run say, in the precision of its search."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ...evaluation.choice import Candidate
from ...evaluation.error import SplitError
from ...evaluation.model_error import model_outputs
from ...evaluation.weights import Weights
from ...search_space import TokenSet
from ...supernet import Supernet
from ...supernet.precision import resolve_precision
from ...tasks import Task
from ...tasks.split import Split
from ..basis import Basis
from ..folder import RunFolder
from ..model import open_subnet
from ..vocabulary import Vocabularies


def outputs_of(
    folder: RunFolder,
    supernet: Supernet,
    vocabularies: Vocabularies,
    splits_of: Callable[[Task], Sequence[Split]],
    chosen: Sequence[Candidate],
) -> list[list[np.ndarray]]:
    """Return the outputs of models on some splits, model by model, in the precision of the search.

    Args:
        folder: the run.
        supernet: where models are cut from.
        vocabularies: the run's task, as models read it.
        splits_of: names the splits of a task.
        chosen: the models.
    """
    basis = Basis.of(folder)
    assert basis is not None
    dtype = resolve_precision(basis.dtype, supernet.device)
    cut: dict[TokenSet | None, list[SplitError]] = {}
    for tokens in dict.fromkeys(one.evaluation.mask.tokens for one in chosen):
        task = vocabularies.uncut_task(tokens)
        pad, metric = task.pad_token_id, task.metric
        cut[tokens] = [SplitError(supernet, split, metric, pad_token_id=pad, dtype=dtype) for split in splits_of(task)]
    found = []
    for one in chosen:
        mask, splits = one.evaluation.mask.with_tokens(None), cut[one.evaluation.mask.tokens]
        if one.evaluation.weights is not Weights.SUPERNET:
            model = open_subnet(folder, supernet, one.evaluation)
            outputs = [model_outputs(model, one.split, pad_token_id=one.pad_token_id, dtype=dtype) for one in splits]
        else:
            outputs = [split.outputs(mask, (mask.depth,))[mask.depth] for split in splits]
        found.append(outputs)
    return found
