"""How much each dimension of the residual stream matters."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ...supernet import Supernet
from ...supernet.gates import run_whole
from ...tasks import Task
from ..calibration import calibration_batches
from .backward import trainable

_TEXTS, _BATCH = 512, 8


def width_scores(supernet: Supernet, task: Task, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a score of each residual dimension, `(D,)`: what the loss makes of a factor on it behind every LayerNorm.

    The derivative by that factor, at 1, is the sum over LayerNorms of weight and bias times their gradients; its square
    is summed over batches of eight texts. (The mean would hide what texts disagree about.)

    Args:
        supernet: the fine-tuned model, left as it is.
        task: labelled texts of its training split are looked at.
        rng: decides which.
    """
    paths = [*supernet.family.norm_paths(supernet.parameters)]
    if not supernet.projected:
        paths.append(supernet.embeddings.norm)
    every = (f"{path}.{kind}" for path in paths for kind in ("weight", "bias"))
    names = tuple(name for name in every if name in supernet.parameters)
    parameters = [supernet.parameters[name] for name in names]
    total = torch.zeros(supernet.shape.hidden_size, dtype=torch.float64, device=supernet.device)
    batches = calibration_batches(supernet, task, _TEXTS, rng, batch_size=_BATCH)
    doubt = torch.Generator(supernet.device).manual_seed(int(rng.integers(2**62)))
    for batch in batches:
        with torch.enable_grad(), trainable(supernet, names):
            outputs = run_whole(supernet, batch.inputs)
            doubted = task.kind.doubted(outputs, batch, doubt) if task.answered else batch
            loss = task.kind.scoring_loss(outputs, doubted)
            gradients = torch.autograd.grad(loss, parameters)
        effect = torch.stack([p.detach() * g for p, g in zip(parameters, gradients, strict=True)]).sum(0)
        total += effect.double().square()
    return total.cpu().numpy()
