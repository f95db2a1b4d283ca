"""The functions of neurons and heads as ONNX nodes, of operators that the lowest opset has."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch.nn import functional

from ..families.activations import (
    GELU,
    GELU_TANH,
    RELU,
    SILU,
    TANH,
    Activation,
    clipped_gelu,
    quick_gelu,
    squared_relu,
)


class Nodes(Protocol):
    """A graph that is being put together."""

    def add(self, op: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node and return the name of what it gives."""
        ...

    def real(self, name: str, value: float) -> str:
        """Return the name of a constant."""
        ...


def _one(op: str) -> Callable[[Nodes, str], str]:
    """Return what adds a single node."""
    return lambda graph, x: graph.add(op, x)


def _gelu(graph: Nodes, x: str) -> str:
    # In parts, as runtimes know to fuse it; the operator of that name is younger than the lowest opset.
    return _half(graph, x, graph.add("Erf", graph.add("Div", x, graph.real("root of two", 2**0.5))))


def _gelu_tanh(graph: Nodes, x: str) -> str:
    cube = graph.add("Mul", graph.add("Mul", x, x), x)
    bent = graph.add("Add", x, graph.add("Mul", cube, graph.real("share of the cube", 0.044715)))
    return _half(graph, x, graph.add("Tanh", graph.add("Mul", bent, graph.real("root of 2/pi", (2 / math.pi) ** 0.5))))


def _half(graph: Nodes, x: str, inner: str) -> str:
    """Return x (1 + inner) / 2."""
    product = graph.add("Mul", x, graph.add("Add", inner, graph.real("unit", 1.0)))
    return graph.add("Mul", product, graph.real("half", 0.5))


def _within(graph: Nodes, x: str, low: float, high: float) -> str:
    return graph.add("Clip", x, graph.real(f"at least {low:g}", low), graph.real(f"at most {high:g}", high))


def _squared_relu(graph: Nodes, x: str) -> str:
    positive = graph.add("Relu", x)
    return graph.add("Mul", positive, positive)


NODES: dict[Activation, Callable[[Nodes, str], str]] = {
    GELU: _gelu,
    GELU_TANH: _gelu_tanh,
    clipped_gelu: lambda graph, x: _within(graph, _gelu(graph, x), -10.0, 10.0),
    quick_gelu: lambda graph, x: graph.add(
        "Mul", x, graph.add("Sigmoid", graph.add("Mul", x, graph.real("slope", 1.702)))
    ),
    RELU: _one("Relu"),
    squared_relu: _squared_relu,
    functional.relu6: lambda graph, x: _within(graph, x, 0.0, 6.0),
    functional.leaky_relu: _one("LeakyRelu"),  # with 0.01 below zero, as in PyTorch
    SILU: lambda graph, x: graph.add("Mul", x, graph.add("Sigmoid", x)),
    functional.mish: lambda graph, x: graph.add("Mul", x, graph.add("Tanh", graph.add("Softplus", x))),
    functional.hardswish: _one("HardSwish"),
    TANH: _one("Tanh"),
    torch.sigmoid: _one("Sigmoid"),
}
