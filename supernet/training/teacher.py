"""A larger model that a smaller one learns from: its predictions and its hidden states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from ..heads import read_outputs, real_tokens
from ..stored.storage import known_family


class Teacher:
    """A larger model that runs on each batch beside the smaller one.

    Of s layers that the smaller one still has, the j-th learns from the larger one's layer ceil(j L / s), the last from
    the last. Where it is known which of the larger one's they were, each learns what the larger one hands to the next
    of them, the last from the last. A narrower state is compared with the larger one's through a fixed linear map that
    fits best when the training begins, so that nothing but the smaller model is trained.

    Source: the uniform mapping of layers of Jiao et al., TinyBERT, EMNLP 2020, section 3.1.

    Args:
        model: the larger one, in evaluation mode, on the smaller one's device; left as it is.
        student: the smaller one.
        inputs: a few texts, as the models are called with them, to fit the map on where one is needed.
        layers: the numbers in the larger one of those that the smaller one has, counted from 0, if they are known.

    Attributes:
        pairs: of the smaller one's and the larger one's layers, both counted from 0; none if no layer is left.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        student: PreTrainedModel,
        inputs: Mapping[str, Tensor],
        layers: Sequence[int] | None = None,
    ) -> None:
        left = [i for i, layer in enumerate(_layers(student)) if any(True for _ in layer.parameters())]
        depth = len(_layers(model))
        taught = [-(-(j + 1) * depth // len(left)) - 1 for j in range(len(left))]
        if layers:
            taught = [*(following - 1 for following in layers[1:]), depth - 1]
        self.pairs = list(zip(left, taught, strict=True))
        self._model = model
        self._maps: list[Tensor | None] = [None] * len(self.pairs)
        if self.pairs and student.config.hidden_size != model.config.hidden_size:
            self._maps = list(self._fitted(student, inputs))

    def teach(self, states: tuple[Tensor, ...], inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the outputs `(R, C)` on a batch, and how far the student's states are from those that it is to have.

        That is the mean squared error between matched layers' states at real tokens, a scalar in float32.

        Args:
            states: the student's, `(B, T, d)` each: the embeddings' and behind each layer.
            inputs: what it was called with.
        """
        outputs, taught = self._run(inputs)
        if not self.pairs:
            return outputs, outputs.new_zeros((), dtype=torch.float32)
        keep, losses = inputs.get("attention_mask"), []
        for (layer, _), theirs, fit in zip(self.pairs, taught, self._maps, strict=True):
            mine = real_tokens(states[layer + 1], keep)
            mine = mine if fit is None else functional.linear(mine, fit.to(mine.dtype))
            losses.append(functional.mse_loss(mine.float(), theirs.float()))
        return outputs, torch.stack(losses).mean()

    @torch.no_grad()
    def _run(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
        found, keep = self._model(**inputs, output_hidden_states=True), inputs.get("attention_mask")
        states = [real_tokens(found.hidden_states[taught + 1], keep) for _, taught in self.pairs]
        return read_outputs(found, keep).float(), states

    @torch.no_grad()
    def _fitted(self, student: PreTrainedModel, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Return the least-squares maps `(D, d)` from the student's states to the teacher's."""
        training = student.training
        states = student.eval()(**inputs, output_hidden_states=True).hidden_states
        student.train(training)
        own = [real_tokens(states[layer + 1], inputs.get("attention_mask")) for layer, _ in self.pairs]
        both = zip(own, self._run(inputs)[1], strict=True)
        return [torch.linalg.lstsq(mine.double(), theirs.double()).solution.T.float() for mine, theirs in both]


def _layers(model: PreTrainedModel) -> list[nn.Module]:
    return list(model.get_submodule(known_family(model.config).layers).children())
