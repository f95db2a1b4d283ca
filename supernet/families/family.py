"""Where a model keeps its parts and what order they are in, so that one engine runs every layout."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from transformers import PreTrainedConfig

from ...search_space import EncoderShape, SubnetMask
from .activations import ACTIVATIONS, GELU, RELU, TANH, Activation, activation_of
from .positions import LayerAttention, plain_attention

if TYPE_CHECKING:  # a process that only serves a model does without tasks
    from ...tasks.kinds import Head

Reads = Literal["first", "mean", "last", "tokens"]
Pooling = Literal["mean", "cls", "lasttoken"]  # as sentence-transformers calls them
POOLINGS: dict[Pooling, Reads] = {"mean": "mean", "cls": "first", "lasttoken": "last"}
SENTENCE = "secateur_sentence"  # the attribute of a configuration that says what vectors are made of; in memory only


@dataclass(frozen=True)
class LayerPaths:
    """Module paths inside one encoder layer.

    A linear map that gives several things at once has them one below the other in its rows.

    Attributes:
        qkv: of query, key and value: three maps, or one that gives all.
        attention_output: of what the heads flow into.
        attention_norm: behind attention, or before it.
        ffn_in: of the neurons. Where these are gated, of what goes through the activation and of what it is multiplied
            by: two maps, or one that gives both.
        ffn_out: of what the neurons flow into.
        ffn_norm: behind the feed-forward block, or before it.
    """

    qkv: tuple[str, ...]
    attention_output: str
    attention_norm: str
    ffn_in: tuple[str, ...]
    ffn_out: str
    ffn_norm: str


@dataclass(frozen=True)
class EmbeddingPaths:
    """Module paths of the embeddings; None where a family, or a model of it, has no such part.

    Attributes:
        word: the table of tokens.
        norm: of the tables' sum.
        position: the table of positions.
        token_type: the table of token types.
        projection: of what is normalised, to the encoder's width.
        types_optional: a model may do without token types.
    """

    word: str
    norm: str
    position: str | None = None
    token_type: str | None = None
    projection: str | None = None
    types_optional: bool = False

    @property
    def tables(self) -> tuple[str, ...]:
        """The embedding tables' paths."""
        return tuple(path for path in (self.word, self.position, self.token_type) if path is not None)

    def present(self, names: Container[str]) -> EmbeddingPaths:
        """Return those that a model has.

        Args:
            names: of its parameters.
        """

        def there(path: str | None) -> str | None:
            return path if path is not None and f"{path}.weight" in names else None

        return replace(
            self,
            position=there(self.position),
            token_type=there(self.token_type),
            projection=there(self.projection),
        )


@dataclass(frozen=True)
class HeadPaths:
    """Module paths of a head: a classifier, and in some a dense layer, an activation and a LayerNorm before it.

    Attributes:
        classifier: the last linear map.
        dense: the one before it; None where the classifier reads what the encoder gives.
        activation: of what `dense` gives, or the configuration's attribute for its name.
        norm: of what the activation gives; None if it has none.
        drops_input: dropout is applied to what the head reads; to what is before the classifier it always is.
        dropout: the configuration's attribute for its rate, which is the hidden states' where that is not set; None
            for a head without dropout.
        pooling: the configuration's attribute that says what is read of a text, `cls` or `mean`; None: the first token.
        closing: of what the classifier gives; None for nothing.
        normalizes: what comes out is divided by its length.
    """

    classifier: str
    dense: str | None = None
    activation: Activation | str | None = None
    norm: str | None = None
    drops_input: bool = False
    dropout: str | None = "classifier_dropout"
    pooling: str | None = None
    closing: Activation | None = None
    normalizes: bool = False

    @property
    def linears(self) -> tuple[str, ...]:
        """The linear maps' paths, in the order of the pass."""
        return (self.classifier,) if self.dense is None else (self.dense, self.classifier)

    @property
    def modules(self) -> tuple[str, ...]:
        """The paths of all that has parameters."""
        return self.linears if self.norm is None else (*self.linears, self.norm)


# Of models that make vectors, the same for all families: see `supernet.sentence`.
EMBEDDING = HeadPaths("projection", dropout=None)


@dataclass(frozen=True)
class Dropout:
    """Probabilities of zeroing.

    Attributes:
        embeddings: the first layer's input.
        attention: shares of attention.
        attention_output: what attention adds to the residual stream.
        neurons: what neurons give.
        ffn_output: what a feed-forward block adds to the residual stream.
        head: the head's input, or the classifier's.
    """

    embeddings: float = 0.0
    attention: float = 0.0
    attention_output: float = 0.0
    neurons: float = 0.0
    ffn_output: float = 0.0
    head: float = 0.0


@dataclass(frozen=True)
class DropoutNames:
    """The configuration's attributes for the rates of :class:`Dropout` but the head's; None where there is none."""

    embeddings: str
    attention: str
    attention_output: str | None
    ffn_output: str | None
    neurons: str | None = None


def dropout_names(hidden: str, attention: str) -> DropoutNames:
    """Return the attributes of a family that has one rate for all hidden states."""
    return DropoutNames(embeddings=hidden, attention=attention, attention_output=hidden, ffn_output=hidden)


_BERT_DROPOUT = dropout_names("hidden_dropout_prob", "attention_probs_dropout_prob")


@dataclass(frozen=True)
class Biases:
    """Which maps and norms of a layer have one."""

    attention: bool = True
    ffn_in: bool = True
    ffn_out: bool = True
    norms: bool = True


def all_biases(config: PreTrainedConfig) -> Biases:
    """Return the biases of a family that has them everywhere."""
    return Biases()


def no_settings(config: PreTrainedConfig, mask: SubnetMask, layers: Sequence[int]) -> dict[str, Any]:
    """Return what a family's parts are described by that differ from the whole in nothing but sizes."""
    return {}


@dataclass(frozen=True)
class ModelFamily:
    """A layout of encoders; data only, the engine is in `elastic` and `encoder`.

    Attributes:
        model_type: the Hugging Face configuration's `model_type`.
        base: attribute of the model with a head that holds the encoder with its embeddings.
        layers: path of the list of layers.
        extracted: the configuration's class of extracted models, `module:class`; the models' own are beside it, named
            alike. Importing it must do without Secateur if extracted models are to be loaded without.
        heads: what makes a task's outputs of the encoder's.
        pre_norm: a block normalises what it reads; else it normalises its sum with the residual stream.
        first_norm: the first layer's attention normalises, too; in some families that `pre_norm` the embeddings' norm
            does for it.
        final_norm: path of the LayerNorm behind the last layer; None if there is none.
        gated: neurons are multiplied by a linear map of the same input after their activation.
        biases: from a configuration to those that there are.
        attention: from a configuration to what each layer's attention knows of positions.
        relative_bias: path of a table of biases on attention scores, by distance and head, that all layers share.
        distances: path of the embeddings of distances that all layers share.
        distances_norm: path of their LayerNorm; a model may do without.
        masks_embeddings: the first layer's input is zero at padding.
        padding_attends: a text of padding alone attends to all of it alike, where others' attention gives zeros.
        settings_of_part: from a configuration, a mask and the layers that it keeps to what an extracted model's
            configuration says otherwise, or beside it, its sizes apart.
        check: refuses what a configuration of this family alone may ask for, by an InputError.
        positions_from_padding: positions count from `pad_token_id + 1` and skip padding, as RoBERTa's do.
        head_size: the configuration's attribute for d, if it has one; else it is D over the number of heads.
        intermediate_size: the configuration's attribute for F.
        activation: the configuration's attribute for the name of the neurons' function.
        dropout_rates: the configuration's attributes for rates of dropout.
        norm_epsilon: the configuration's attribute, or the constant the family has.
    """

    model_type: str
    base: str
    layers: str
    extracted: str
    layer: LayerPaths
    embeddings: EmbeddingPaths
    heads: dict[Head, HeadPaths]
    pre_norm: bool = False
    first_norm: bool = True
    final_norm: str | None = None
    gated: bool = False
    biases: Callable[[PreTrainedConfig], Biases] = all_biases
    attention: Callable[[PreTrainedConfig], tuple[LayerAttention, ...]] = plain_attention
    relative_bias: str | None = None
    distances: str | None = None
    distances_norm: str | None = None
    masks_embeddings: bool = False
    padding_attends: bool = False
    settings_of_part: Callable[[PreTrainedConfig, SubnetMask, Sequence[int]], dict[str, Any]] = no_settings
    check: Callable[[PreTrainedConfig], None] | None = None
    positions_from_padding: bool = False
    head_size: str | None = None
    intermediate_size: str = "intermediate_size"
    activation: str = "hidden_act"
    dropout_rates: DropoutNames = _BERT_DROPOUT
    norm_epsilon: str | float = "layer_norm_eps"

    def shape(self, config: PreTrainedConfig) -> EncoderShape:
        """Read the encoder's sizes from its configuration."""
        hidden, heads = int(config.hidden_size), int(config.num_attention_heads)
        own = None if self.head_size is None else getattr(config, self.head_size, None)
        biases = self.biases(config)
        return EncoderShape(
            num_layers=int(config.num_hidden_layers),
            num_heads=heads,
            head_size=hidden // heads if own is None else int(own),
            hidden_size=hidden,
            intermediate_size=int(getattr(config, self.intermediate_size)),
            gated=self.gated,
            attention_biases=biases.attention,
            ffn_in_biases=biases.ffn_in,
            ffn_out_biases=biases.ffn_out,
            norm_biases=biases.norms,
            first_norm=self.first_norm,
        )

    def layer_path(self, layer: int, part: str) -> str:
        """Return the full module path of a part of a layer: a field of `LayerPaths` that is one path."""
        return f"{self.layers}.{layer}.{getattr(self.layer, part)}"

    def layer_paths(self, layer: int, part: str) -> tuple[str, ...]:
        """Return the full module paths of a part of a layer that may be several."""
        found = getattr(self.layer, part)
        return tuple(f"{self.layers}.{layer}.{path}" for path in ((found,) if isinstance(found, str) else found))

    def linear_paths(self, layer: int) -> tuple[str, ...]:
        """Return the full module paths of a layer's linear maps, in the order of the pass."""
        parts = ("qkv", "attention_output", "ffn_in", "ffn_out")
        return tuple(path for part in parts for path in self.layer_paths(layer, part))

    def stacked(self, part: str) -> int:
        """Return how many things each map of a part gives, one below the other: 3 where one gives query, key, value."""
        return {"qkv": 3, "ffn_in": 2 if self.gated else 1}[part] // len(getattr(self.layer, part))

    def norm_paths(self, names: Container[str]) -> Iterator[str]:
        """List the paths of the norms of the layers, and of the one behind them, that a model has.

        Args:
            names: of its parameters.
        """
        layer = 0
        while f"{self.layer_path(layer, 'ffn_norm')}.weight" in names:
            for part in ("attention_norm", "ffn_norm"):
                path = self.layer_path(layer, part)
                if f"{path}.weight" in names:
                    yield path
            layer += 1
        if self.final_norm is not None:
            yield self.final_norm

    def head_paths(self, config: PreTrainedConfig, head: Head) -> HeadPaths:
        """Return a head's paths, its activation's function in place of the attribute that names it.

        Raises:
            InputError: a function that is not supported.
        """
        paths = self.heads[head]
        if head == "embedding":
            told = getattr(config, SENTENCE, {})
            name = told.get("activation")
            closing = None if name is None else ACTIVATIONS[name]
            return replace(paths, closing=closing, normalizes=told.get("normalize", False))
        if not isinstance(paths.activation, str):
            return paths
        return replace(paths, activation=activation_of(config, paths.activation))

    def dropout(self, config: PreTrainedConfig, head: Head) -> Dropout:
        """Read the dropout rates of a model with that head."""
        rates = {
            place: 0.0 if name is None else float(getattr(config, name, None) or 0.0)
            for place, name in vars(self.dropout_rates).items()
        }
        name = self.heads[head].dropout
        own = 0.0 if name is None else getattr(config, name, None)
        return Dropout(**rates, head=rates["embeddings"] if own is None else float(own))

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


def reads(head: Head, paths: HeadPaths, config: PreTrainedConfig) -> Reads:
    """Tell what a head reads of a text: its first token, its last one, the mean of its real ones, or each of them."""
    if head == "embedding":
        return POOLINGS[getattr(config, SENTENCE, {}).get("pooling", "mean")]
    if head != "sequence-classification":
        return "tokens"
    return "first" if paths.pooling is None or getattr(config, paths.pooling) == "cls" else "mean"


def bert_like_layers() -> LayerPaths:
    """Return the paths that BERT, RoBERTa and ELECTRA share."""
    return LayerPaths(
        qkv=("attention.self.query", "attention.self.key", "attention.self.value"),
        attention_output="attention.output.dense",
        attention_norm="attention.output.LayerNorm",
        ffn_in=("intermediate.dense",),
        ffn_out="output.dense",
        ffn_norm="output.LayerNorm",
    )


def bert_like_embeddings(base: str, projection: str | None = None) -> EmbeddingPaths:
    """Return the embedding paths that BERT, RoBERTa and ELECTRA share."""
    return EmbeddingPaths(
        word=f"{base}.embeddings.word_embeddings",
        norm=f"{base}.embeddings.LayerNorm",
        position=f"{base}.embeddings.position_embeddings",
        token_type=f"{base}.embeddings.token_type_embeddings",
        projection=projection,
    )


def bert_like_heads(sequence: HeadPaths) -> dict[Head, HeadPaths]:
    """Return all heads, of which BERT, RoBERTa and ELECTRA share those that read each token."""
    return {
        "sequence-classification": sequence,
        "question-answering": HeadPaths("qa_outputs", dropout=None),
        "token-classification": HeadPaths("classifier", drops_input=True),
        "embedding": EMBEDDING,
    }


MODELING = "secateur.supernet.modeling_secateur"

__all__ = [
    "EMBEDDING",
    "GELU",
    "MODELING",
    "RELU",
    "TANH",
    "Biases",
    "Dropout",
    "DropoutNames",
    "EmbeddingPaths",
    "HeadPaths",
    "LayerPaths",
    "ModelFamily",
    "Reads",
    "bert_like_embeddings",
    "bert_like_heads",
    "bert_like_layers",
    "dropout_names",
    "reads",
]
