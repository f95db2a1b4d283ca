"""One model that holds every subnetwork."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..search_space import EncoderShape, SubnetMask
from .architecture import Architecture, Weights
from .elastic import Index, Pieces, cut, hidden_index, pieces
from .encoder import Encoded, SharedStates, classify, embed, encode, finish
from .families import Dropout, EmbeddingPaths, HeadPaths, family_of, reads
from .heads import head_of
from .precision import width_multiple

if TYPE_CHECKING:
    from ..tasks.kinds import Head

LAYER_ORDER = "secateur_layer_order"  # in a supernet's configuration, which is saved with its weights


class Supernet:
    """A Hugging Face model with a task's head whose subnetworks run on slices of its weights.

    The model keeps its class and its parameters; nothing is patched and there is no mode to reset.

    Args:
        model: of one of `families.FAMILIES`, for sequence classification, question answering, token
            classification or embedding.

    Attributes:
        head: which of these.

    Raises:
        InputError: another family, or another head.

    Example:
        >>> supernet = Supernet(AutoModelForSequenceClassification.from_pretrained(folder))
        >>> half = SubnetMask.from_counts(supernet.shape, heads=[6] * 6, neurons=[768] * 6)
        >>> supernet.subnet(half)(**tokenizer("a good film", return_tensors="pt"))  # logits (1, C)
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.family = family_of(model.config)
        self.head: Head = head_of(model)
        self.shape: EncoderShape = self.family.shape(model.config)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.model.device

    @property
    def layer_order(self) -> tuple[int, ...] | None:
        """The order in which networks of few layers keep them, where one was measured."""
        order = getattr(self.model.config, LAYER_ORDER, None)
        return None if order is None else tuple(order)

    @layer_order.setter
    def layer_order(self, order: tuple[int, ...]) -> None:
        setattr(self.model.config, LAYER_ORDER, list(order))

    @cached_property
    def parameters(self) -> dict[str, Tensor]:
        """The model's own parameters, by name."""
        return dict(self.model.named_parameters())

    @cached_property
    def embeddings(self) -> EmbeddingPaths:
        """Where the embeddings are, those that this model has."""
        return self.family.embeddings.present(self.parameters)

    @property
    def projected(self) -> bool:
        """Whether the embeddings are narrower than the encoder and projected to it (ELECTRA-small)."""
        return self.embeddings.projection is not None

    @cached_property
    def head_paths(self) -> HeadPaths:
        """Where the head's parameters are."""
        return self.family.head_paths(self.model.config, self.head)

    @cached_property
    def dropout(self) -> Dropout:
        """The rates the model was configured with."""
        return self.family.dropout(self.model.config, self.head)

    @cached_property
    def architecture(self) -> Architecture:
        """What the forward pass needs to know beside the weights."""
        config = self.model.config
        return Architecture(
            family=self.family,
            embeddings=self.embeddings,
            head=self.head_paths,
            reads=reads(self.head, self.head_paths, config),
            num_layers=self.shape.num_layers,
            head_size=self.shape.head_size,
            attention=self.family.attention(config),
            epsilon=self.family.epsilon(config),
            pad_token_id=config.pad_token_id or 0,
            activation=self.family.neuron_function(config),
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
            self.head_paths,
            self.shape,
            mask,
            names=self.parameters,
            device=self.device,
            multiple=width_multiple(dtype, self.device),
        )

    def words(self, mask: SubnetMask) -> int:
        """Return how many rows of the table of words a subnetwork keeps: one for each of its tokens."""
        return len(self.parameters[f"{self.embeddings.word}.weight"]) if mask.tokens is None else mask.tokens.count

    def embedding_columns(self, mask: SubnetMask) -> Index:
        """Return which columns of the embedding tables a subnetwork uses; all where a projection follows them."""
        return None if self.projected else hidden_index(mask, self.device)

    def solved(self, mask: SubnetMask) -> dict[str, Tensor]:
        """Return those weights of a subnetwork that are no slices, keyed as :meth:`pieces` does: here there are none.

        Feed-forward blocks are as wide as the mask says.
        """
        return {}

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
        solved, of = supernet.solved(mask), supernet.parameters
        with torch.no_grad():
            self.weights: Weights = {
                key: (piece.hold(solved[key], of) if key in solved else piece.take(of)).to(dtype=dtype).contiguous()
                for key, piece in supernet.pieces(mask, dtype).items()
            }

    @torch.inference_mode()
    def __call__(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Return the outputs as transformers shapes them.

        Args:
            input_ids: `(B, T)` int64.
            attention_mask: `(B, T)`, zero or False for padding.
            token_type_ids: `(B, T)` int64; zeros if None.

        Returns:
            `(B, C)` logits in the subnetwork's precision, or `(B, T, C)` where the head reads each token: zeros at
            padding, and for question answering the logits of first tokens of an answer, then of last ones.
        """
        outputs = self.outputs(input_ids, attention_mask, token_type_ids)
        if self.supernet.architecture.reads != "tokens":
            return outputs
        padded = outputs.new_zeros(*input_ids.shape, outputs.shape[1])
        keep = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        padded[keep.bool()] = outputs
        return padded

    @torch.inference_mode()
    def outputs(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Return the outputs `(R, C)`: one for each text, or for each real token, text after text.

        Arguments are those of a call.
        """
        embedded = embed(self.supernet.architecture, self.supernet.parameters, input_ids, token_type_ids)
        keep = None if attention_mask is None else attention_mask.bool()
        depth = self.supernet.shape.num_layers
        return self.readouts([(embedded, keep, None)], (depth,))[depth]

    @torch.inference_mode()
    def readouts(
        self, batches: Iterable[tuple[Tensor, Tensor | None, SharedStates | None]], depths: tuple[int, ...]
    ) -> dict[int, Tensor]:
        """Return the outputs after each of the given depths, from one pass over all batches.

        Args:
            batches: of each `(B, T, E)`, the embedding tables' sum (`encoder.embed`), `(B, T)` bool, False for padding,
                or None, and the states it shares with other subnetworks, or None.
            depths: 0 to `num_layers`; the outputs after d layers are those of `mask.truncated(d)`.

        Returns:
            `{depth: (R, C)}` for the texts of all batches, or their real tokens, in their order.
        """
        architecture, columns = self.supernet.architecture, self.supernet.embedding_columns(self.mask)
        dtype = self.weights["head.classifier.weight"].dtype
        encoded = (
            encode(
                architecture, self.weights, cut(embedded, None, columns).to(dtype), keep, readouts=depths, shared=shared
            )
            for embedded, keep, shared in batches
        )
        if not architecture.reads_tokens:
            return self._classified(Encoded.joined(list(encoded)), depths)
        found = [self._classified(one, depths) for one in encoded]  # not joined: the states of all tokens are many
        return {depth: torch.cat([part[depth] for part in found]) for depth in depths}

    def _classified(self, encoded: Encoded, depths: tuple[int, ...]) -> dict[int, Tensor]:
        architecture = self.supernet.architecture
        states = finish(architecture, self.weights, encoded)
        return {depth: classify(architecture, self.weights, states[depth], counts=encoded.counts) for depth in depths}
