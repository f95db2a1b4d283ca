"""What tests of methods that train what is left have in common."""

import numpy as np
import torch
from secateur.supernet import Supernet
from secateur.tests.supernet import toy
from secateur.tests.tiny import tiny_model


def pruned_by(pruner, model=None, task=None, density=0.3, seed=0):
    return pruner.prune(
        Supernet(model or tiny_model("bert")), task or toy.toy_task(), density, np.random.default_rng(seed)
    )


def other_weights():
    """The same network with other weights, as before fine-tuning."""
    model = tiny_model("bert")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1)
    return model
