"""The functions of a feed-forward block's neurons, by the names that transformers' configurations give them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedConfig

from ...errors import InputError

Activation = Callable[[Tensor], Tensor]

GELU: Activation = functional.gelu
# The approximation by a hyperbolic tangent: of one function transformers has five forms, which round otherwise.
GELU_TANH: Activation = partial(functional.gelu, approximate="tanh")
RELU: Activation = functional.relu
SILU: Activation = functional.silu
TANH: Activation = torch.tanh


def quick_gelu(x: Tensor) -> Tensor:
    """Return `x sigmoid(1.702 x)`. Source: Hendrycks & Gimpel, "Gaussian error linear units", 2016, section 2."""
    return x * torch.sigmoid(1.702 * x)


def clipped_gelu(x: Tensor) -> Tensor:
    """Return GELU within -10 and 10. Source: Wu et al., "Integer quantization for deep learning inference", 2020."""
    return functional.gelu(x).clamp(-10.0, 10.0)


def squared_relu(x: Tensor) -> Tensor:
    """Return the square of ReLU. Source: So et al., "Primer", NeurIPS 2021."""
    return functional.relu(x).square()


ACTIVATIONS: dict[str, Activation] = {
    "gelu": GELU,
    "gelu_python": GELU,
    "gelu_new": GELU_TANH,
    "gelu_fast": GELU_TANH,
    "gelu_accurate": GELU_TANH,
    "gelu_pytorch_tanh": GELU_TANH,
    "gelu_python_tanh": GELU_TANH,
    "gelu_10": clipped_gelu,
    "quick_gelu": quick_gelu,
    "relu": RELU,
    "relu2": squared_relu,
    "relu6": functional.relu6,
    "leaky_relu": functional.leaky_relu,
    "silu": SILU,
    "swish": SILU,
    "mish": functional.mish,
    "hardswish": functional.hardswish,
    "tanh": TANH,
    "sigmoid": torch.sigmoid,
}


def activation_of(config: PreTrainedConfig, attribute: str) -> Activation:
    """Return the function that a configuration names.

    Args:
        config: a model's.
        attribute: where its family has the name.

    Raises:
        InputError: a function that is not here, such as one with weights of its own.
    """
    name = getattr(config, attribute, None)
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise InputError(
            f"the configuration's {attribute} is {name!r}, which is not supported; supported activations: "
            f"{', '.join(sorted(ACTIVATIONS))}"
        )
    return ACTIVATIONS[name]
