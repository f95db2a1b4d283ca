"""A model that was cut out, its outgoing maps solved for anew."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from ...evaluation.evaluation import Evaluation
from ...evaluation.model_error import model_error
from ...search_space import SubnetMask
from ...supernet import Supernet
from ...supernet.refit import WholeSums, refit
from ...tasks import Task
from ...tasks.batches import collate
from ..folder import RunFolder
from ..model import origin_of
from ..recipes import REFIT_TEXTS

_BATCH = 32


@dataclass(frozen=True)
class Refitted:
    """What a refit did.

    Attributes:
        model: refitted, or as it was where that is better on the selection split.
        kept: it is the refitted one.
        before, after: errors on the selection split.
        seconds: of the refit, without these errors.
    """

    model: PreTrainedModel
    kept: bool
    before: float
    after: float
    seconds: float


def whole_sums(
    whole: Supernet, task: Task, seed: int, mask: SubnetMask | None = None, texts: int = REFIT_TEXTS
) -> WholeSums:
    """Return what models of a run are refitted to, on texts of the training split that the seed draws.

    Args:
        whole: the model to come close to.
        task: whose training split.
        seed: of the texts.
        mask: a subnetwork of `whole` to come close to instead.
        texts: how many at most.
    """
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(task.train), min(texts, len(task.train)), replace=False)
    rows = rows[np.argsort(task.train.lengths[rows], kind="stable")]  # little padding
    starts = range(0, len(rows), _BATCH)
    batches = [collate(task.train, rows[at : at + _BATCH], task.pad_token_id).to(whole.device) for at in starts]
    return WholeSums(whole, batches, rng, mask=mask)


def refitted(
    folder: RunFolder, task: Task, supernet: Supernet, model: PreTrainedModel, evaluation: Evaluation
) -> Refitted:
    """Refit a copy of a model that was cut out to the network it was cut out of, and keep what is better.

    Args:
        folder: the run.
        task: its task, as the model reads it before its table of words is cut.
        supernet: the trained one; what was not cut out of it is refitted to the fine-tuned model.
        model: in float32; left as it is.
        evaluation: of the model on the selection split.
    """
    whole = origin_of(folder, supernet, evaluation.weights)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    whole.model.float().to(device)  # pyright: ignore[reportArgumentType]
    begin = time.monotonic()
    made = copy.deepcopy(model).to(device)  # pyright: ignore[reportArgumentType]
    refit(made, evaluation.mask.with_tokens(None), whole_sums(whole, task, folder.project.seed))
    seconds = time.monotonic() - begin
    before, after = (
        model_error(one, task.selection, task.metric, pad_token_id=task.pad_token_id) for one in (model, made)
    )
    kept = after <= before
    chosen = made.to(model.device) if kept else model  # pyright: ignore[reportArgumentType]
    return Refitted(chosen, kept, before, after, seconds)


def refit_line(metric: str, done: Refitted) -> str:
    """Say in a line what a refit brought."""
    verdict = "" if done.kept else "; it is left as it was"
    return (
        f"{metric} on the selection split {1 - done.before:.4f} as it was cut out, {1 - done.after:.4f} with its "
        f"outgoing maps solved for anew on {REFIT_TEXTS} texts without labels, in {done.seconds:.0f} s{verdict}"
    )
