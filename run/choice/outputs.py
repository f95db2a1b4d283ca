"""What models of a run say, in the precision of its search."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...evaluation.choice import Candidate
from ...evaluation.error import SplitError
from ...evaluation.model_error import model_outputs
from ...evaluation.weights import Weights
from ...supernet import Supernet
from ...supernet.precision import resolve_precision
from ...tasks import Task
from ...tasks.split import Split
from ..basis import Basis
from ..folder import RunFolder
from ..model import open_subnet


def outputs_of(
    folder: RunFolder, supernet: Supernet, task: Task, splits: Sequence[Split], chosen: Sequence[Candidate]
) -> list[list[np.ndarray]]:
    """Return the outputs of models on some splits, model by model, in the precision of the search."""
    basis = Basis.of(folder)
    assert basis is not None
    dtype = resolve_precision(basis.dtype, supernet.device)
    pad = task.pad_token_id
    cut = [SplitError(supernet, split, task.metric, pad_token_id=pad, dtype=dtype) for split in splits]
    found = []
    for one in chosen:
        mask = one.evaluation.mask
        if one.evaluation.weights is not Weights.SUPERNET:
            model = open_subnet(folder, supernet, one.evaluation)
            outputs = [model_outputs(model, split, pad_token_id=pad, dtype=dtype) for split in splits]
        else:
            outputs = [split.outputs(mask, (mask.depth,))[mask.depth] for split in cut]
        found.append(outputs)
    return found
