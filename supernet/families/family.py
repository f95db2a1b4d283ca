"""Where a model keeps its parts, so that one engine runs every layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from transformers import PreTrainedConfig

from ...search_space import EncoderShape
from .activations import GELU, RELU, TANH, Activation, activation_of

if TYPE_CHECKING:  # a process that only serves a model does without tasks
    from ...tasks.kinds import Head


@dataclass(frozen=True)
class LayerPaths:
    """Module paths inside one encoder layer."""

    query: str
    key: str
    value: str
    attention_output: str
    attention_norm: str
    ffn_in: str
    ffn_out: str
    ffn_norm: str


@dataclass(frozen=True)
class EmbeddingPaths:
    """Module paths of the embeddings; `token_type` and `projection` are None where the family has none."""

    word: str
    position: str
    norm: str
    token_type: str | None
    projection: str | None = None

    @property
    def tables(self) -> tuple[str, ...]:
        """The embedding tables' paths."""
        return tuple(path for path in (self.word, self.position, self.token_type) if path is not None)


@dataclass(frozen=True)
class HeadPaths:
    """Module paths of a head: a classifier, and in some a dense layer and an activation before it.

    Attributes:
        classifier: the last linear map.
        dense: the one before it; None where the classifier reads what the encoder gives.
        activation: of what `dense` gives.
        drops_input: dropout is applied to what the head reads; to what the activation gives it always is.
        dropout: the configuration's attribute for its rate, which is the hidden states' where that is not set; None
            for a head without dropout.
    """

    classifier: str
    dense: str | None = None
    activation: Activation | None = None
    drops_input: bool = False
    dropout: str | None = "classifier_dropout"

    @property
    def linears(self) -> tuple[str, ...]:
        """The linear maps' paths, in the order of the pass."""
        return (self.classifier,) if self.dense is None else (self.dense, self.classifier)


@dataclass(frozen=True)
class ModelFamily:
    """A layout of encoders that share post-LayerNorm blocks; data only, the engine is in `elastic` and `encoder`.

    Attributes:
        model_type: the Hugging Face configuration's `model_type`.
        base: attribute of the model with a head that holds the encoder with its embeddings.
        layers: path of the list of layers.
        extracted: the configuration's class of extracted models, `module:class`; the models' own are beside it, named
            alike. Importing it must do without Secateur if extracted models are to be loaded without.
        heads: what makes a task's outputs of the encoder's.
        positions_from_padding: positions count from `pad_token_id + 1` and skip padding, as RoBERTa's do.
        intermediate_size: the configuration's attribute for F.
        activation: the configuration's attribute for the name of the neurons' function.
        dropout_rates: the configuration's attributes for dropout of hidden states and of attention.
        norm_epsilon: the configuration's attribute, or the constant the family has.
    """

    model_type: str
    base: str
    layers: str
    extracted: str
    layer: LayerPaths
    embeddings: EmbeddingPaths
    heads: dict[Head, HeadPaths]
    positions_from_padding: bool = False
    intermediate_size: str = "intermediate_size"
    activation: str = "hidden_act"
    dropout_rates: tuple[str, str] = ("hidden_dropout_prob", "attention_probs_dropout_prob")
    norm_epsilon: str | float = "layer_norm_eps"

    def shape(self, config: PreTrainedConfig) -> EncoderShape:
        """Read the encoder's sizes from its configuration."""
        hidden, heads = int(config.hidden_size), int(config.num_attention_heads)
        return EncoderShape(
            num_layers=int(config.num_hidden_layers),
            num_heads=heads,
            head_size=hidden // heads,
            hidden_size=hidden,
            intermediate_size=int(getattr(config, self.intermediate_size)),
        )

    def layer_path(self, layer: int, part: str) -> str:
        """Return the full module path of a part (a field of `LayerPaths`) of a layer."""
        return f"{self.layers}.{layer}.{getattr(self.layer, part)}"

    def dropout(self, config: PreTrainedConfig, head: Head) -> Dropout:
        """Read the dropout rates of a model with that head."""
        hidden, attention = (float(getattr(config, name, None) or 0.0) for name in self.dropout_rates)
        name = self.heads[head].dropout
        own = 0.0 if name is None else getattr(config, name, None)
        return Dropout(hidden, attention, hidden if own is None else float(own))

    def neuron_function(self, config: PreTrainedConfig) -> Activation:
        """Return what a feed-forward block applies to each neuron.

        Raises:
            InputError: a function that is not supported.
        """
        return activation_of(config, self.activation)

    def epsilon(self, config: PreTrainedConfig) -> float:
        """Return the LayerNorms' epsilon."""
        name = self.norm_epsilon
        return float(getattr(config, name)) if isinstance(name, str) else name


@dataclass(frozen=True)
class Dropout:
    """Probabilities of zeroing: hidden states, attention weights, the head's input."""

    hidden: float = 0.0
    attention: float = 0.0
    head: float = 0.0


def bert_like_layers() -> LayerPaths:
    """Return the paths that BERT, RoBERTa and ELECTRA share."""
    return LayerPaths(
        query="attention.self.query",
        key="attention.self.key",
        value="attention.self.value",
        attention_output="attention.output.dense",
        attention_norm="attention.output.LayerNorm",
        ffn_in="intermediate.dense",
        ffn_out="output.dense",
        ffn_norm="output.LayerNorm",
    )


def bert_like_embeddings(base: str, projection: str | None = None) -> EmbeddingPaths:
    """Return the embedding paths that BERT, RoBERTa and ELECTRA share."""
    return EmbeddingPaths(
        word=f"{base}.embeddings.word_embeddings",
        position=f"{base}.embeddings.position_embeddings",
        token_type=f"{base}.embeddings.token_type_embeddings",
        norm=f"{base}.embeddings.LayerNorm",
        projection=projection,
    )


def bert_like_heads(sequence: HeadPaths) -> dict[Head, HeadPaths]:
    """Return all heads, of which BERT, RoBERTa and ELECTRA share those that read each token."""
    return {
        "sequence-classification": sequence,
        "question-answering": HeadPaths("qa_outputs", dropout=None),
        "token-classification": HeadPaths("classifier", drops_input=True),
    }


MODELING = "secateur.supernet.modeling_secateur"

__all__ = [
    "GELU",
    "MODELING",
    "RELU",
    "TANH",
    "Dropout",
    "EmbeddingPaths",
    "HeadPaths",
    "LayerPaths",
    "ModelFamily",
    "bert_like_embeddings",
    "bert_like_heads",
    "bert_like_layers",
]
