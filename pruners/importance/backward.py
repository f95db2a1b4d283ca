"""One backward pass per batch, and all that the gradient scores read from it.

With a factor m = 1 on a unit's output A, the derivative of the loss by m is the sum of A times the gradient of A: what
GradCAM computes at that unit, what Michel et al. take the absolute value of and Kwon et al. the square. So one pass
yields them all, text by text; the gradients of the weights, which Cam-Cut and Smooth-Cut need, come with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from ...supernet import Supernet
from ...supernet.gates import gated, run_whole
from ...tasks import Task
from ...tasks.batches import Batch
from ..calibration import calibration_batches


@dataclass(frozen=True)
class Recipe:
    """What is passed backward.

    Attributes:
        texts: drawn from the training split.
        batch_size: matters where a method takes absolute values per batch.
        weights: also collect the gradients of the linear maps' weights and their mean outputs.
        noise: standard deviation, absolute, of Gaussian noise on the output of every linear map.
        repeats: noisy passes whose weight gradients are averaged.
        padding: count padding in the mean outputs, as the authors of Cam-Cut do.
        head: the linear maps of the head are among those meant above.
    """

    texts: int = 2048
    batch_size: int = 16
    weights: bool = False
    noise: float = 0.0
    repeats: int = 1
    padding: bool = False
    head: bool = False


SHARED = Recipe()  # what most gradient scores are read from, together


@dataclass(frozen=True)
class BackwardPass:
    """What one batch tells.

    Attributes:
        heads: `(B, L, H)`, the derivative of each text's own loss by the factor on a head, at 1; where tokens are
            classified, of the sum of their losses.
        neurons: `(B, L, F)`, the same for neurons.
        weights: gradients of the batch's mean loss, by name of the parameter; empty if not asked for.
        outputs: `(out,)`, the mean output of each linear map over texts and tokens, by its path; empty if not asked
            for.
    """

    heads: Tensor
    neurons: Tensor
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    outputs: Mapping[str, Tensor] = field(default_factory=dict)


def backward_passes(supernet: Supernet, task: Task, rng: np.random.Generator, recipe: Recipe) -> Iterator[BackwardPass]:
    """Run labelled texts of the training split forward and backward, without dropout.

    Args:
        supernet: left as it is, gradients included.
        task: whose training split.
        rng: of texts and noise.
        recipe: what is wanted.
    """
    batches = calibration_batches(supernet, task, recipe.texts, rng, batch_size=recipe.batch_size)
    noise = torch.Generator(supernet.device).manual_seed(int(rng.integers(2**62)))
    for batch in batches:
        yield _mean(_pass(supernet, task, batch, recipe, noise) for _ in range(recipe.repeats))


def _mean(passes: Iterator[BackwardPass]) -> BackwardPass:
    """Average passes in the first one's place: with the gradients of the weights each is as large as the model."""
    mean, count = next(passes), 1
    for one in passes:
        count += 1
        for total, term in zip(_tensors(mean), _tensors(one), strict=True):
            total.add_(term)
    for total in _tensors(mean):
        total.div_(count)
    return mean


def _tensors(seen: BackwardPass) -> list[Tensor]:
    return [seen.heads, seen.neurons, *seen.weights.values(), *seen.outputs.values()]


def _pass(supernet: Supernet, task: Task, batch: Batch, recipe: Recipe, noise: torch.Generator) -> BackwardPass:
    shape = supernet.shape
    heads = torch.ones(len(batch), shape.num_layers, shape.num_heads, device=supernet.device, requires_grad=True)
    neurons = torch.ones(
        len(batch), shape.num_layers, shape.intermediate_size, device=supernet.device, requires_grad=True
    )
    outputs: dict[str, Tensor] = {}
    names = weight_names(supernet, head=recipe.head) if recipe.weights else ()
    with (
        torch.enable_grad(),
        trainable(supernet, names),
        gated(supernet, heads, neurons),
        _linear_outputs(supernet, batch, recipe, noise, outputs),
    ):
        found = run_whole(supernet, batch.inputs)
        loss = task.kind.scoring_loss(found, task.kind.doubted(found, batch, noise) if task.answered else batch)
        wanted = [heads, neurons, *(supernet.parameters[name] for name in names)]
        gradients = torch.autograd.grad(loss, wanted)
    # The loss is a mean and each text has factors of its own: what is its own of the loss counts as often as the mean
    # has terms, whichever texts are in the batch.
    terms = task.kind.terms(task.train, batch.index)
    return BackwardPass(
        gradients[0] * terms, gradients[1] * terms, dict(zip(names, gradients[2:], strict=True)), outputs
    )


def weight_names(supernet: Supernet, *, head: bool = False) -> tuple[str, ...]:
    """Return the weights and biases of all linear maps of the encoder's layers, and of the head."""
    names = (f"{path}.{kind}" for path in linear_paths(supernet, head=head) for kind in ("weight", "bias"))
    return tuple(name for name in names if name in supernet.parameters)


def linear_paths(supernet: Supernet, *, head: bool = False) -> tuple[str, ...]:
    """Return the paths of all linear maps of the encoder's layers, and of the head, in the order of the pass."""
    layers, family = range(supernet.shape.num_layers), supernet.family
    inside = tuple(path for layer in layers for path in family.linear_paths(layer))
    return inside + supernet.head_paths.linears if head else inside


@contextmanager
def trainable(supernet: Supernet, names: tuple[str, ...]) -> Iterator[None]:
    """Let only these parameters need gradients: the others' would be computed in vain."""
    before = {name: parameter.requires_grad for name, parameter in supernet.parameters.items()}
    try:
        for name, parameter in supernet.parameters.items():
            parameter.requires_grad_(name in names)
        yield
    finally:
        for name, parameter in supernet.parameters.items():
            parameter.requires_grad_(before[name])


@contextmanager
def _linear_outputs(
    supernet: Supernet, batch: Batch, recipe: Recipe, noise: torch.Generator, means: dict[str, Tensor]
) -> Iterator[None]:
    """Note the mean output of every linear map, then add noise to it."""
    if not recipe.weights and not recipe.noise:
        yield
        return
    counted = torch.ones_like(batch.real) if recipe.padding else batch.real

    def hook(path: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor | None]:
        def noted(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
            if output.ndim == 3 and output.shape[:2] != counted.shape:  # of distances, and of no text
                return None
            if recipe.weights:
                seen = output.detach()
                means[path] = (seen[counted] if seen.ndim == 3 else seen).mean(0)  # a head sees one token of a text
            if not recipe.noise:
                return None
            return output + recipe.noise * torch.randn(output.shape, generator=noise, device=output.device)

        return noted

    with ExitStack() as stack:
        for path in linear_paths(supernet, head=recipe.head):
            module = supernet.model.get_submodule(path)
            stack.callback(module.register_forward_hook(hook(path)).remove)
        yield
