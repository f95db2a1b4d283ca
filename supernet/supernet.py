"""One model that holds every subnetwork."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..search_space import EncoderShape, SubnetMask, UnitScores
from .elastic import Index, Pieces, cut, hidden_index, pieces
from .encoder import Architecture, Encoded, SharedStates, Weights, classify, embed, encode, finish
from .families import Dropout, family_of
from .precision import width_multiple
from .reordering import reorder


class Supernet:
    """A Hugging Face sequence classifier whose subnetworks run on slices of its weights.

    The model keeps its class and its parameters; nothing is patched and there is no mode to reset.

    Args:
        model: BERT, RoBERTa, DistilBERT or ELECTRA for sequence classification.

    Raises:
        InputError: another family.

    Example:
        >>> supernet = Supernet(AutoModelForSequenceClassification.from_pretrained(folder))
        >>> half = SubnetMask.from_counts(supernet.shape, heads=[6] * 6, neurons=[768] * 6)
        >>> supernet.subnet(half)(**tokenizer("a good film", return_tensors="pt"))  # logits (1, C)
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.family = family_of(model.config)
        self.shape: EncoderShape = self.family.shape(model.config)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.model.device

    @cached_property
    def parameters(self) -> dict[str, Tensor]:
        """The model's own parameters, by name."""
        return dict(self.model.named_parameters())

    @cached_property
    def projected(self) -> bool:
        """Whether the embeddings are narrower than the encoder and projected to it (ELECTRA-small)."""
        path = self.family.embeddings.projection
        return path is not None and f"{path}.weight" in self.parameters

    @cached_property
    def dropout(self) -> Dropout:
        """The rates the model was configured with."""
        return self.family.dropout(self.model.config)

    @cached_property
    def architecture(self) -> Architecture:
        """What the forward pass needs to know beside the weights."""
        config = self.model.config
        return Architecture(
            family=self.family,
            num_layers=self.shape.num_layers,
            head_size=self.shape.head_size,
            epsilon=self.family.epsilon(config),
            pad_token_id=config.pad_token_id or 0,
        )

    def pieces(self, mask: SubnetMask, dtype: torch.dtype = torch.float32) -> Pieces:
        """List the slices of the parameters that a subnetwork uses, without the embedding tables.

        Args:
            mask: what it keeps.
            dtype: what they will be computed in; feed-forward blocks are filled up to a width that is fast in it.

        Raises:
            ValueError: a mask of another encoder.
        """
        return pieces(
            self.family,
            self.shape,
            mask,
            projection=self.projected,
            device=self.device,
            multiple=width_multiple(dtype, self.device),
        )

    def embedding_columns(self, mask: SubnetMask) -> Index:
        """Return which columns of the embedding tables a subnetwork uses; all where a projection follows them."""
        return None if self.projected else hidden_index(mask, self.device)

    def reorder(self, scores: UnitScores) -> None:
        """Sort the heads and the neurons of every layer in place, the most important first.

        "The first k", which is all that most search spaces can keep, then means "the best k". The whole model's outputs
        stay what they are but for rounding; masks made before no longer mean the same units.

        Args:
            scores: of each unit.

        Raises:
            ValueError: scores of another encoder.
        """
        reorder(self, scores)

    def subnet(self, mask: SubnetMask, dtype: torch.dtype | None = None) -> Subnet:
        """Return a subnetwork ready to run, its slices cast and laid out once.

        Args:
            mask: what it keeps.
            dtype: precision to compute in; the parameters' own if None.

        Raises:
            ValueError: a mask of another encoder.
        """
        return Subnet(self, mask, dtype)


class Subnet:
    """A subnetwork that runs, without gradients, on slices of its supernet's weights as they are now.

    Made by :meth:`Supernet.subnet`; while the supernet is being trained, make it anew after each step.
    """

    def __init__(self, supernet: Supernet, mask: SubnetMask, dtype: torch.dtype | None = None) -> None:
        self.supernet = supernet
        self.mask = mask
        dtype = dtype or supernet.model.dtype
        with torch.no_grad():
            self.weights: Weights = {
                key: piece.take(supernet.parameters).to(dtype=dtype).contiguous()
                for key, piece in supernet.pieces(mask, dtype).items()
            }

    @torch.inference_mode()
    def __call__(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Return the logits.

        Args:
            input_ids: `(B, T)` int64.
            attention_mask: `(B, T)`, zero or False for padding.
            token_type_ids: `(B, T)` int64; zeros if None.

        Returns:
            `(B, C)` in the subnetwork's precision.
        """
        embedded = embed(self.supernet.architecture, self.supernet.parameters, input_ids, token_type_ids)
        keep = None if attention_mask is None else attention_mask.bool()
        depth = self.supernet.shape.num_layers
        return self.readouts([(embedded, keep, None)], (depth,))[depth]

    @torch.inference_mode()
    def readouts(
        self, batches: Iterable[tuple[Tensor, Tensor | None, SharedStates | None]], depths: tuple[int, ...]
    ) -> dict[int, Tensor]:
        """Return the logits after each of the given depths, from one pass over all batches.

        Args:
            batches: of each `(B, T, E)`, the embedding tables' sum (`encoder.embed`), `(B, T)` bool, False for padding,
                or None, and the states it shares with other subnetworks, or None.
            depths: 0 to `num_layers`; the logits after d layers are those of `mask.truncated(d)`.

        Returns:
            `{depth: (N, C)}` for the N texts of all batches, in their order.
        """
        architecture, columns = self.supernet.architecture, self.supernet.embedding_columns(self.mask)
        dtype = self.weights["head.classifier.bias"].dtype
        encoded = Encoded.joined(
            [
                encode(
                    architecture,
                    self.weights,
                    cut(embedded, None, columns).to(dtype),
                    keep,
                    readouts=depths,
                    shared=shared,
                )
                for embedded, keep, shared in batches
            ]
        )
        states = finish(architecture, self.weights, encoded)
        return {depth: classify(architecture, self.weights, states[depth]) for depth in depths}
