"""Encoders whose layers keep different numbers of heads and neurons, as Secateur cuts them out of a fine-tuned one.

This file needs torch and transformers only. A copy of it lies beside the weights of each such model, so that
`from_pretrained(..., trust_remote_code=True)` loads it where Secateur is not installed; Secateur runs the same classes.
It opens no files, starts no processes and uses no network.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from transformers.models.bert.configuration_bert import BertConfig
from transformers.models.bert.modeling_bert import (
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
)
from transformers.models.camembert.configuration_camembert import CamembertConfig
from transformers.models.camembert.modeling_camembert import (
    CamembertForQuestionAnswering,
    CamembertForSequenceClassification,
    CamembertForTokenClassification,
    CamembertModel,
)
from transformers.models.deberta_v2.configuration_deberta_v2 import DebertaV2Config
from transformers.models.deberta_v2.modeling_deberta_v2 import (
    DebertaV2ForQuestionAnswering,
    DebertaV2ForSequenceClassification,
    DebertaV2ForTokenClassification,
    DebertaV2Model,
)
from transformers.models.distilbert.configuration_distilbert import DistilBertConfig
from transformers.models.distilbert.modeling_distilbert import (
    DistilBertForQuestionAnswering,
    DistilBertForSequenceClassification,
    DistilBertForTokenClassification,
    DistilBertModel,
)
from transformers.models.electra.configuration_electra import ElectraConfig
from transformers.models.electra.modeling_electra import (
    ElectraForQuestionAnswering,
    ElectraForSequenceClassification,
    ElectraForTokenClassification,
    ElectraModel,
)
from transformers.models.gte.configuration_gte import GteConfig
from transformers.models.gte.modeling_gte import GteForSequenceClassification, GteForTokenClassification, GteModel
from transformers.models.jina_embeddings_v3.configuration_jina_embeddings_v3 import JinaEmbeddingsV3Config
from transformers.models.jina_embeddings_v3.modeling_jina_embeddings_v3 import (
    JinaEmbeddingsV3ForQuestionAnswering,
    JinaEmbeddingsV3ForSequenceClassification,
    JinaEmbeddingsV3ForTokenClassification,
    JinaEmbeddingsV3Model,
)
from transformers.models.modernbert.configuration_modernbert import ModernBertConfig
from transformers.models.modernbert.modeling_modernbert import (
    ModernBertForQuestionAnswering,
    ModernBertForSequenceClassification,
    ModernBertForTokenClassification,
    ModernBertModel,
)
from transformers.models.mpnet.configuration_mpnet import MPNetConfig
from transformers.models.mpnet.modeling_mpnet import (
    MPNetForQuestionAnswering,
    MPNetForSequenceClassification,
    MPNetForTokenClassification,
    MPNetModel,
    MPNetSelfAttention,
)
from transformers.models.nomic_bert.configuration_nomic_bert import NomicBertConfig
from transformers.models.nomic_bert.modeling_nomic_bert import (
    NomicBertForSequenceClassification,
    NomicBertForTokenClassification,
    NomicBertModel,
)
from transformers.models.roberta.configuration_roberta import RobertaConfig
from transformers.models.roberta.modeling_roberta import (
    RobertaForQuestionAnswering,
    RobertaForSequenceClassification,
    RobertaForTokenClassification,
    RobertaModel,
)
from transformers.models.xlm_roberta.configuration_xlm_roberta import XLMRobertaConfig
from transformers.models.xlm_roberta.modeling_xlm_roberta import (
    XLMRobertaForQuestionAnswering,
    XLMRobertaForSequenceClassification,
    XLMRobertaForTokenClassification,
    XLMRobertaModel,
)

PREFIX = "secateur-"  # before the family's own model_type
ATTENTION, FFN = "attention", "mlp"  # the names of the two blocks in per_layer_config's "skip"

# --- configurations ---------------------------------------------------------------------------------------------------


@dataclass(kw_only=True, repr=False, eq=False)
class ExtractedFields:
    """What an extracted model needs to know beyond its family's configuration and transformers' ``per_layer_config``.

    ``hidden_size`` is the kept width of the residual stream; the number of heads and of neurons are those of the full
    encoder, and each layer that differs has its own under ``per_layer_config``, with ``"skip": ["attention"]`` or
    ``["mlp"]`` for a dropped block. Layers without any block are gone, and ``num_hidden_layers`` counts the others.

    Attributes:
        neurons_field: the configuration's attribute for the number of neurons.
        head_dim: width of one attention head; ``hidden_size`` need not be a multiple of it.
        classifier_size: width of the dense layer of the classification head, which stays the full hidden size.
        secateur_key: the subnetwork this is, as Secateur's commands call it.
    """

    neurons_field: ClassVar[str] = "intermediate_size"
    head_dim: int = 64
    classifier_size: int = 768
    secateur_key: str | None = None

    def own_parts(self) -> str | None:
        """Return what of an extracted model of this family no plain one can have, beside its sizes; None if nothing."""
        return None


@strict
class ExtractedBertConfig(ExtractedFields, BertConfig):
    """An extracted BERT."""

    model_type = PREFIX + "bert"
    _auto_class: ClassVar[str | None] = "AutoConfig"  # saving copies this file along


@strict
class ExtractedRobertaConfig(ExtractedFields, RobertaConfig):
    """An extracted RoBERTa."""

    model_type = PREFIX + "roberta"
    _auto_class: ClassVar[str | None] = "AutoConfig"


@strict
class ExtractedXLMRobertaConfig(ExtractedFields, XLMRobertaConfig):
    """An extracted XLM-RoBERTa."""

    model_type = PREFIX + "xlm-roberta"
    _auto_class: ClassVar[str | None] = "AutoConfig"


@strict
class ExtractedCamembertConfig(ExtractedFields, CamembertConfig):
    """An extracted CamemBERT."""

    model_type = PREFIX + "camembert"
    _auto_class: ClassVar[str | None] = "AutoConfig"


@strict
class ExtractedDistilBertConfig(ExtractedFields, DistilBertConfig):
    """An extracted DistilBERT."""

    model_type = PREFIX + "distilbert"
    neurons_field: ClassVar[str] = "hidden_dim"
    _auto_class: ClassVar[str | None] = "AutoConfig"


@strict
class ExtractedElectraConfig(ExtractedFields, ElectraConfig):
    """An extracted ELECTRA.

    Attributes:
        project_embeddings: embeddings are projected to the encoder's width. ELECTRA's own rule, "where the two widths
            differ", fails for a pruned residual stream that happens to be as wide as the embeddings.
    """

    model_type = PREFIX + "electra"
    _auto_class: ClassVar[str | None] = "AutoConfig"
    project_embeddings: bool = False

    def own_parts(self) -> str | None:
        """Return what of an extracted ELECTRA no plain one can have."""
        by_rule = self.embedding_size != self.hidden_size
        return None if self.project_embeddings == by_rule else "a projection of embeddings to their own width"


@strict
class ExtractedMPNetConfig(ExtractedFields, MPNetConfig):
    """An extracted MPNet.

    Attributes:
        table_heads: how many heads the table of biases has, which all layers share.
        kept_heads: of each layer, which of these it keeps; counted from 0.
    """

    model_type = PREFIX + "mpnet"
    _auto_class: ClassVar[str | None] = "AutoConfig"
    table_heads: int = 12
    kept_heads: list[list[int]] | None = None

    def own_parts(self) -> str | None:
        """Return what of an extracted MPNet no plain one can have."""
        if any(heads != list(range(self.table_heads)) for heads in self.kept_heads or ()):
            return "layers that keep some of the heads of the table of biases that they share"
        return None


@strict
class ExtractedNomicBertConfig(ExtractedFields, NomicBertConfig):  # pyright: ignore[reportIncompatibleVariableOverride]
    """An extracted nomic-bert."""

    model_type = PREFIX + "nomic_bert"
    _auto_class: ClassVar[str | None] = "AutoConfig"


@strict
class ExtractedGteConfig(ExtractedFields, GteConfig):
    """An extracted GTE."""

    model_type = PREFIX + "gte"
    _auto_class: ClassVar[str | None] = "AutoConfig"


@strict
class ExtractedJinaEmbeddingsV3Config(ExtractedFields, JinaEmbeddingsV3Config):
    """An extracted jina-embeddings-v3."""

    model_type = PREFIX + "jina_embeddings_v3"
    _auto_class: ClassVar[str | None] = "AutoConfig"


@strict
class ExtractedModernBertConfig(ExtractedFields, ModernBertConfig):
    """An extracted ModernBERT.

    Attributes:
        first_norm: the first layer's attention has a LayerNorm, since it was not the first one before.
    """

    model_type = PREFIX + "modernbert"
    _auto_class: ClassVar[str | None] = "AutoConfig"
    first_norm: bool = False

    def nested_rope_parameter_keys(self, rope_parameters: Any) -> Any:
        """Return the kinds of layers that have positions of their own; transformers finds none without layers."""
        return super().nested_rope_parameter_keys(rope_parameters) if self.layer_types else list(rope_parameters or ())

    def own_parts(self) -> str | None:
        """Return what of an extracted ModernBERT no plain one can have."""
        if self.first_norm:
            return "a LayerNorm before its first layer, which was not the first one"
        return None if self.num_hidden_layers else "no layers"


@strict
class ExtractedDebertaV2Config(ExtractedFields, DebertaV2Config):
    """An extracted DeBERTa of version 2 or 3."""

    model_type = PREFIX + "deberta-v2"
    _auto_class: ClassVar[str | None] = "AutoConfig"

    def own_parts(self) -> str | None:
        """Return what of an extracted DeBERTa no plain one can have."""
        return None if self.num_hidden_layers else "no layers"


ExtractedConfig = (
    ExtractedBertConfig
    | ExtractedRobertaConfig
    | ExtractedXLMRobertaConfig
    | ExtractedCamembertConfig
    | ExtractedDistilBertConfig
    | ExtractedElectraConfig
    | ExtractedMPNetConfig
    | ExtractedNomicBertConfig
    | ExtractedGteConfig
    | ExtractedJinaEmbeddingsV3Config
    | ExtractedModernBertConfig
    | ExtractedDebertaV2Config
)


@dataclass(frozen=True)
class LayerSizes:
    """Heads and neurons of one layer; 0 for a dropped block."""

    heads: int
    neurons: int


def layer_sizes(config: ExtractedConfig) -> list[LayerSizes]:
    """Read the sizes of each layer from an extracted model's configuration."""
    sizes = []
    for layer in config.per_layer_config:
        skip = getattr(layer, "skip", ())
        heads = 0 if ATTENTION in skip else int(layer.num_attention_heads)  # pyright: ignore[reportAttributeAccessIssue]
        sizes.append(LayerSizes(heads, 0 if FFN in skip else int(getattr(layer, config.neurons_field))))
    return sizes


# --- layers -----------------------------------------------------------------------------------------------------------
# No class here may have "Attention" in its name: by that word in a model's module, transformers decides whether the
# attention implementation can be changed (`set_attn_implementation`), and looks for code that stays in its own modules.


class PassInput(nn.Module):
    """Stands for a dropped attention with its residual connection and LayerNorm: the input passes through."""

    def forward(self, hidden_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, None]:
        """Return `hidden_states` and no attention weights."""
        return hidden_states, None


class PassResidual(nn.Module):
    """Stands for the second half of a dropped feed-forward block, which receives the block's input as well."""

    def forward(self, hidden_states: Tensor, input_tensor: Tensor) -> Tensor:
        """Return the block's input."""
        return input_tensor


class ZeroContext(nn.Module):
    """Stands for a dropped attention whose caller adds the residual: adds nothing."""

    def forward(self, hidden_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, None]:
        """Return a zero that broadcasts, and no attention weights."""
        return hidden_states.new_zeros(()), None


class Zero(nn.Module):
    """Stands for a dropped feed-forward layer whose caller adds the residual: adds nothing."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Return a zero that broadcasts."""
        return hidden_states.new_zeros(())


# --- models -----------------------------------------------------------------------------------------------------------


class ExtractedModel:
    """What the extracted models share: Hugging Face's model is made first, then its layers get their sizes.

    Abstract; comes before a Hugging Face class among the bases. No full-size weight is ever made under
    `from_pretrained`, which builds on the meta device.

    Attributes:
        layers_path: of the list of layers in the base model.
        wide: paths of the head's dense layer, which keeps the full width, and of the classifier that reads it; none in
            a head that reads the encoder's tokens itself.
    """

    layers_path: ClassVar[str] = "encoder.layer"
    wide: ClassVar[tuple[str, str] | None] = None

    def __init__(self, config: ExtractedConfig) -> None:
        stub = _stub(config)
        super().__init__(stub)  # pyright: ignore[reportCallIssue]
        config._attn_implementation = stub._attn_implementation  # resolved by the constructor
        self._fit(config, stub)
        for module in self.modules():  # pyright: ignore[reportAttributeAccessIssue]
            if getattr(module, "config", None) is stub:
                module.config = config
        self.post_init()  # pyright: ignore[reportAttributeAccessIssue]

    def _fit(self, config: Any, stub: Any) -> None:
        """Give the layers and the head of a freshly made model the sizes of the configuration.

        Args:
            config: the model's.
            stub: what it was made with.
        """
        model: Any = self
        for place, sizes in enumerate(layer_sizes(config)):
            self._fit_layer(model.base_model.get_submodule(self.layers_path)[place], config, sizes)
        if getattr(model, "pooler", None) is not None and model.base_model is model:
            model.pooler = None  # of an encoder without a head, which nothing reads
        if self.wide is not None:
            dense, classifier = self.wide
            biased = model.get_submodule(dense).bias is not None
            model.set_submodule(dense, nn.Linear(config.hidden_size, config.classifier_size, bias=biased))
            model.set_submodule(classifier, nn.Linear(config.classifier_size, int(config.num_labels or 0)))

    def _fit_layer(self, layer: Any, config: Any, sizes: LayerSizes) -> None:
        """Give a layer of BERT or of one of its kin its sizes; what passes by stands for a dropped block."""
        hidden, width = int(config.hidden_size), sizes.heads * config.head_dim
        if sizes.heads:
            reader = layer.attention.self
            reader.query, reader.key, reader.value = (nn.Linear(hidden, width) for _ in range(3))
            layer.attention.output.dense = nn.Linear(width, hidden)
            reader.num_attention_heads, reader.all_head_size = sizes.heads, width
            reader.attention_head_size, reader.scaling = config.head_dim, config.head_dim**-0.5
        else:
            layer.attention = PassInput()
        self._fit_neurons(layer, hidden, sizes)

    def _fit_neurons(self, layer: Any, hidden: int, sizes: LayerSizes) -> None:
        if sizes.neurons:
            layer.intermediate.dense = nn.Linear(hidden, sizes.neurons)
            layer.output.dense = nn.Linear(sizes.neurons, hidden)
        else:
            layer.intermediate, layer.output = nn.Identity(), PassResidual()


def _stub(config: ExtractedConfig) -> ExtractedConfig:
    """Return a configuration that Hugging Face's constructors accept, with layers of one head and one neuron.

    One head divides any hidden size, which the constructors insist on; what they build too wide is replaced at once.
    """
    stub = copy.deepcopy(config)
    stub.per_layer_config = None
    stub.num_attention_heads = 1
    setattr(stub, config.neurons_field, 1)
    return stub


class ExtractedDistilBert(ExtractedModel):
    """What extracted DistilBERTs share. Abstract."""

    layers_path = "transformer.layer"

    def _fit_layer(self, layer: Any, config: Any, sizes: LayerSizes) -> None:
        hidden, width = int(config.hidden_size), sizes.heads * config.head_dim
        if sizes.heads:
            reader = layer.attention
            reader.q_lin, reader.k_lin, reader.v_lin = (nn.Linear(hidden, width) for _ in range(3))
            reader.out_lin = nn.Linear(width, hidden)
            reader.n_heads, reader.dim = sizes.heads, width
            reader.attention_head_size, reader.scaling = config.head_dim, config.head_dim**-0.5
        else:
            layer.attention, layer.sa_layer_norm = ZeroContext(), nn.Identity()
        if sizes.neurons:
            layer.ffn.lin1, layer.ffn.lin2 = nn.Linear(hidden, sizes.neurons), nn.Linear(sizes.neurons, hidden)
        else:
            layer.ffn, layer.output_layer_norm = Zero(), nn.Identity()


class ExtractedElectra(ExtractedModel):
    """What extracted ELECTRAs share. Abstract."""

    def _fit(self, config: Any, stub: Any) -> None:
        super()._fit(config, stub)
        base: Any = self.base_model  # pyright: ignore[reportAttributeAccessIssue]
        if config.project_embeddings:
            base.embeddings_project = nn.Linear(config.embedding_size, config.hidden_size)
        elif hasattr(base, "embeddings_project"):
            raise ValueError(
                f"embeddings of width {config.embedding_size} do not fit a residual stream of {config.hidden_size} "
                "without a projection; set project_embeddings in the configuration"
            )


class PassLayer(nn.Module):
    """Stands for the layers of an encoder that has none, where transformers' code needs one."""

    def forward(self, hidden_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, None]:
        """Return `hidden_states` and no attention weights."""
        return hidden_states, None


class ExtractedDebertaV2(ExtractedModel):
    """What extracted DeBERTas share. Abstract."""

    def _fit(self, config: Any, stub: Any) -> None:
        super()._fit(config, stub)
        if not layer_sizes(config):
            base: Any = self.base_model  # pyright: ignore[reportAttributeAccessIssue]
            base.encoder.layer.append(PassLayer())

    def _fit_layer(self, layer: Any, config: Any, sizes: LayerSizes) -> None:
        hidden, width = int(config.hidden_size), sizes.heads * config.head_dim
        if sizes.heads:
            reader = layer.attention.self
            reader.query_proj, reader.key_proj, reader.value_proj = (nn.Linear(hidden, width) for _ in range(3))
            layer.attention.output.dense = nn.Linear(width, hidden)
            reader.num_attention_heads, reader.attention_head_size = sizes.heads, config.head_dim
            reader.all_head_size = width
        else:
            layer.attention = PassInput()
        self._fit_neurons(layer, hidden, sizes)


class BiasOfHeads(MPNetSelfAttention):
    """Reads the columns of its own heads from the biases that all layers share."""

    heads: list[int]

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        position_bias: Tensor | None = None,
        output_attentions: bool = False,
        **options: Any,
    ) -> Any:
        """Do what MPNet's does; `position_bias` is `(B, H, T, T)` of all heads."""
        own = None if position_bias is None else position_bias[:, self.heads]
        return super().forward(hidden_states, attention_mask, own, output_attentions, **options)


class ExtractedMPNet(ExtractedModel):
    """What extracted MPNets share. Abstract."""

    def _fit(self, config: Any, stub: Any) -> None:
        super()._fit(config, stub)
        base: Any = self.base_model  # pyright: ignore[reportAttributeAccessIssue]
        base.encoder.n_heads = config.table_heads
        base.encoder.relative_attention_bias = nn.Embedding(config.relative_attention_num_buckets, config.table_heads)
        kept: list[list[int]] = config.kept_heads or []
        for layer, heads, sizes in zip(base.encoder.layer, kept, layer_sizes(config), strict=True):
            if sizes.heads:
                own: Any = BiasOfHeads(stub)
                width = sizes.heads * config.head_dim
                own.q, own.k, own.v = (nn.Linear(config.hidden_size, width) for _ in range(3))
                own.o = nn.Linear(width, config.hidden_size)
                own.num_attention_heads, own.all_head_size = sizes.heads, width
                own.attention_head_size = config.head_dim
                own.heads = [int(head) for head in heads]
                layer.attention.attn = own

    def _fit_layer(self, layer: Any, config: Any, sizes: LayerSizes) -> None:
        if not sizes.heads:
            layer.attention = PassInput()
        self._fit_neurons(layer, int(config.hidden_size), sizes)


def _alike(linear: nn.Linear, columns: int, rows: int) -> nn.Linear:
    """Return a linear map of other sizes, with a bias where the given one has one."""
    return nn.Linear(columns, rows, bias=linear.bias is not None)


class ExtractedRotary(ExtractedModel):
    """What extracted encoders with rotary positions and a norm behind each block share. Abstract."""

    layers_path = "layers"

    def _fit_layer(self, layer: Any, config: Any, sizes: LayerSizes) -> None:
        hidden, width = int(config.hidden_size), sizes.heads * config.head_dim
        if sizes.heads:
            reader = layer.self_attn
            for name in ("q_proj", "k_proj", "v_proj"):
                setattr(reader, name, _alike(getattr(reader, name), hidden, width))
            reader.o_proj = _alike(reader.o_proj, width, hidden)
            reader.head_dim, reader.scaling = config.head_dim, config.head_dim**-0.5
        else:
            layer.self_attn, layer.post_attention_layernorm = ZeroContext(), nn.Identity()
        if sizes.neurons:
            gated = hasattr(layer.mlp, "gate_proj")
            *into, out_of = ("gate_proj", "up_proj", "down_proj") if gated else ("fc1", "fc2")
            for name in into:
                setattr(layer.mlp, name, _alike(getattr(layer.mlp, name), hidden, sizes.neurons))
            setattr(layer.mlp, out_of, _alike(getattr(layer.mlp, out_of), sizes.neurons, hidden))
        else:
            layer.mlp, layer.post_mlp_layernorm = Zero(), nn.Identity()


class ExtractedModernBert(ExtractedModel):
    """What extracted ModernBERTs share. Abstract."""

    layers_path = "layers"

    def _fit(self, config: Any, stub: Any) -> None:
        super()._fit(config, stub)
        model: Any = self
        if model.base_model is not model:
            model.head.norm = nn.LayerNorm(config.classifier_size, eps=config.norm_eps, bias=config.norm_bias)
        first = model.base_model.layers[0] if config.num_hidden_layers else None
        if config.first_norm and first is not None and not isinstance(first.attn, ZeroContext):
            first.attn_norm = nn.LayerNorm(config.hidden_size, eps=config.norm_eps, bias=config.norm_bias)

    def _fit_layer(self, layer: Any, config: Any, sizes: LayerSizes) -> None:
        hidden, width = int(config.hidden_size), sizes.heads * config.head_dim
        if sizes.heads:
            reader = layer.attn
            reader.Wqkv, reader.Wo = _alike(reader.Wqkv, hidden, 3 * width), _alike(reader.Wo, width, hidden)
            reader.head_dim = config.head_dim
        else:
            layer.attn, layer.attn_norm = ZeroContext(), nn.Identity()
        if sizes.neurons:
            layer.mlp.Wi = _alike(layer.mlp.Wi, hidden, 2 * sizes.neurons)
            layer.mlp.Wo = _alike(layer.mlp.Wo, sizes.neurons, hidden)
        else:
            layer.mlp, layer.mlp_norm = Zero(), nn.Identity()


class ExtractedBertForSequenceClassification(ExtractedModel, BertForSequenceClassification):
    """An extracted BERT that classifies texts."""

    config_class = ExtractedBertConfig
    _auto_class = "AutoModelForSequenceClassification"
    wide = ("bert.pooler.dense", "classifier")


class ExtractedBertForQuestionAnswering(ExtractedModel, BertForQuestionAnswering):
    """An extracted BERT that answers questions."""

    config_class = ExtractedBertConfig
    _auto_class = "AutoModelForQuestionAnswering"


class ExtractedBertForTokenClassification(ExtractedModel, BertForTokenClassification):
    """An extracted BERT that classifies tokens."""

    config_class = ExtractedBertConfig
    _auto_class = "AutoModelForTokenClassification"


class ExtractedBertModel(ExtractedModel, BertModel):
    """An extracted BERT without a head: its tokens' states."""

    config_class = ExtractedBertConfig
    _auto_class = "AutoModel"


class ExtractedRobertaForSequenceClassification(ExtractedModel, RobertaForSequenceClassification):
    """An extracted RoBERTa that classifies texts."""

    config_class = ExtractedRobertaConfig
    _auto_class = "AutoModelForSequenceClassification"
    wide = ("classifier.dense", "classifier.out_proj")


class ExtractedRobertaForQuestionAnswering(ExtractedModel, RobertaForQuestionAnswering):
    """An extracted RoBERTa that answers questions."""

    config_class = ExtractedRobertaConfig
    _auto_class = "AutoModelForQuestionAnswering"


class ExtractedRobertaForTokenClassification(ExtractedModel, RobertaForTokenClassification):
    """An extracted RoBERTa that classifies tokens."""

    config_class = ExtractedRobertaConfig
    _auto_class = "AutoModelForTokenClassification"


class ExtractedRobertaModel(ExtractedModel, RobertaModel):
    """An extracted RoBERTa without a head: its tokens' states."""

    config_class = ExtractedRobertaConfig
    _auto_class = "AutoModel"


class ExtractedXLMRobertaForSequenceClassification(ExtractedModel, XLMRobertaForSequenceClassification):
    """An extracted XLM-RoBERTa that classifies texts."""

    config_class = ExtractedXLMRobertaConfig
    _auto_class = "AutoModelForSequenceClassification"
    wide = ("classifier.dense", "classifier.out_proj")


class ExtractedXLMRobertaForQuestionAnswering(ExtractedModel, XLMRobertaForQuestionAnswering):
    """An extracted XLM-RoBERTa that answers questions."""

    config_class = ExtractedXLMRobertaConfig
    _auto_class = "AutoModelForQuestionAnswering"


class ExtractedXLMRobertaForTokenClassification(ExtractedModel, XLMRobertaForTokenClassification):
    """An extracted XLM-RoBERTa that classifies tokens."""

    config_class = ExtractedXLMRobertaConfig
    _auto_class = "AutoModelForTokenClassification"


class ExtractedXLMRobertaModel(ExtractedModel, XLMRobertaModel):
    """An extracted XLM-RoBERTa without a head: its tokens' states."""

    config_class = ExtractedXLMRobertaConfig
    _auto_class = "AutoModel"


class ExtractedCamembertForSequenceClassification(ExtractedModel, CamembertForSequenceClassification):
    """An extracted CamemBERT that classifies texts."""

    config_class = ExtractedCamembertConfig
    _auto_class = "AutoModelForSequenceClassification"
    wide = ("classifier.dense", "classifier.out_proj")


class ExtractedCamembertForQuestionAnswering(ExtractedModel, CamembertForQuestionAnswering):
    """An extracted CamemBERT that answers questions."""

    config_class = ExtractedCamembertConfig
    _auto_class = "AutoModelForQuestionAnswering"


class ExtractedCamembertForTokenClassification(ExtractedModel, CamembertForTokenClassification):
    """An extracted CamemBERT that classifies tokens."""

    config_class = ExtractedCamembertConfig
    _auto_class = "AutoModelForTokenClassification"


class ExtractedCamembertModel(ExtractedModel, CamembertModel):
    """An extracted CamemBERT without a head: its tokens' states."""

    config_class = ExtractedCamembertConfig
    _auto_class = "AutoModel"


class ExtractedDistilBertForSequenceClassification(ExtractedDistilBert, DistilBertForSequenceClassification):
    """An extracted DistilBERT that classifies texts."""

    config_class = ExtractedDistilBertConfig
    _auto_class = "AutoModelForSequenceClassification"
    wide = ("pre_classifier", "classifier")


class ExtractedDistilBertForQuestionAnswering(ExtractedDistilBert, DistilBertForQuestionAnswering):
    """An extracted DistilBERT that answers questions."""

    config_class = ExtractedDistilBertConfig
    _auto_class = "AutoModelForQuestionAnswering"


class ExtractedDistilBertForTokenClassification(ExtractedDistilBert, DistilBertForTokenClassification):
    """An extracted DistilBERT that classifies tokens."""

    config_class = ExtractedDistilBertConfig
    _auto_class = "AutoModelForTokenClassification"


class ExtractedDistilBertModel(ExtractedDistilBert, DistilBertModel):
    """An extracted DistilBERT without a head: its tokens' states."""

    config_class = ExtractedDistilBertConfig
    _auto_class = "AutoModel"


class ExtractedElectraForSequenceClassification(ExtractedElectra, ElectraForSequenceClassification):
    """An extracted ELECTRA that classifies texts."""

    config_class = ExtractedElectraConfig
    _auto_class = "AutoModelForSequenceClassification"
    wide = ("classifier.dense", "classifier.out_proj")


class ExtractedElectraForQuestionAnswering(ExtractedElectra, ElectraForQuestionAnswering):
    """An extracted ELECTRA that answers questions."""

    config_class = ExtractedElectraConfig
    _auto_class = "AutoModelForQuestionAnswering"


class ExtractedElectraForTokenClassification(ExtractedElectra, ElectraForTokenClassification):
    """An extracted ELECTRA that classifies tokens."""

    config_class = ExtractedElectraConfig
    _auto_class = "AutoModelForTokenClassification"


class ExtractedElectraModel(ExtractedElectra, ElectraModel):
    """An extracted ELECTRA without a head: its tokens' states."""

    config_class = ExtractedElectraConfig
    _auto_class = "AutoModel"


class ExtractedMPNetForSequenceClassification(ExtractedMPNet, MPNetForSequenceClassification):
    """An extracted MPNet that classifies texts."""

    config_class = ExtractedMPNetConfig
    _auto_class = "AutoModelForSequenceClassification"
    wide = ("classifier.dense", "classifier.out_proj")


class ExtractedMPNetForQuestionAnswering(ExtractedMPNet, MPNetForQuestionAnswering):
    """An extracted MPNet that answers questions."""

    config_class = ExtractedMPNetConfig
    _auto_class = "AutoModelForQuestionAnswering"


class ExtractedMPNetForTokenClassification(ExtractedMPNet, MPNetForTokenClassification):
    """An extracted MPNet that classifies tokens."""

    config_class = ExtractedMPNetConfig
    _auto_class = "AutoModelForTokenClassification"


class ExtractedMPNetModel(ExtractedMPNet, MPNetModel):
    """An extracted MPNet without a head: its tokens' states."""

    config_class = ExtractedMPNetConfig
    _auto_class = "AutoModel"


class ExtractedNomicBertForSequenceClassification(ExtractedRotary, NomicBertForSequenceClassification):
    """An extracted nomic-bert that classifies texts."""

    config_class = ExtractedNomicBertConfig
    _auto_class = "AutoModelForSequenceClassification"
    wide = ("nomic_bert.pooler.dense", "classifier")


class ExtractedNomicBertForTokenClassification(ExtractedRotary, NomicBertForTokenClassification):
    """An extracted nomic-bert that classifies tokens."""

    config_class = ExtractedNomicBertConfig
    _auto_class = "AutoModelForTokenClassification"


class ExtractedNomicBertModel(ExtractedRotary, NomicBertModel):
    """An extracted nomic-bert without a head: its tokens' states."""

    config_class = ExtractedNomicBertConfig
    _auto_class = "AutoModel"


class ExtractedGteForSequenceClassification(ExtractedRotary, GteForSequenceClassification):
    """An extracted GTE that classifies texts."""

    config_class = ExtractedGteConfig
    _auto_class = "AutoModelForSequenceClassification"
    wide = ("gte.pooler.dense", "classifier")


class ExtractedGteForTokenClassification(ExtractedRotary, GteForTokenClassification):
    """An extracted GTE that classifies tokens."""

    config_class = ExtractedGteConfig
    _auto_class = "AutoModelForTokenClassification"


class ExtractedGteModel(ExtractedRotary, GteModel):
    """An extracted GTE without a head: its tokens' states."""

    config_class = ExtractedGteConfig
    _auto_class = "AutoModel"


class ExtractedJinaEmbeddingsV3ForSequenceClassification(ExtractedRotary, JinaEmbeddingsV3ForSequenceClassification):
    """An extracted jina-embeddings-v3 that classifies texts."""

    config_class = ExtractedJinaEmbeddingsV3Config
    _auto_class = "AutoModelForSequenceClassification"
    wide = ("classifier.dense", "classifier.out_proj")


class ExtractedJinaEmbeddingsV3ForQuestionAnswering(ExtractedRotary, JinaEmbeddingsV3ForQuestionAnswering):
    """An extracted jina-embeddings-v3 that answers questions."""

    config_class = ExtractedJinaEmbeddingsV3Config
    _auto_class = "AutoModelForQuestionAnswering"


class ExtractedJinaEmbeddingsV3ForTokenClassification(ExtractedRotary, JinaEmbeddingsV3ForTokenClassification):
    """An extracted jina-embeddings-v3 that classifies tokens."""

    config_class = ExtractedJinaEmbeddingsV3Config
    _auto_class = "AutoModelForTokenClassification"


class ExtractedJinaEmbeddingsV3Model(ExtractedRotary, JinaEmbeddingsV3Model):
    """An extracted jina-embeddings-v3 without a head: its tokens' states."""

    config_class = ExtractedJinaEmbeddingsV3Config
    _auto_class = "AutoModel"


class ExtractedModernBertForSequenceClassification(ExtractedModernBert, ModernBertForSequenceClassification):
    """An extracted ModernBERT that classifies texts."""

    config_class = ExtractedModernBertConfig
    _auto_class = "AutoModelForSequenceClassification"
    wide = ("head.dense", "classifier")


class ExtractedModernBertForQuestionAnswering(ExtractedModernBert, ModernBertForQuestionAnswering):
    """An extracted ModernBERT that answers questions."""

    config_class = ExtractedModernBertConfig
    _auto_class = "AutoModelForQuestionAnswering"
    wide = ("head.dense", "classifier")


class ExtractedModernBertForTokenClassification(ExtractedModernBert, ModernBertForTokenClassification):
    """An extracted ModernBERT that classifies tokens."""

    config_class = ExtractedModernBertConfig
    _auto_class = "AutoModelForTokenClassification"
    wide = ("head.dense", "classifier")


class ExtractedModernBertModel(ExtractedModernBert, ModernBertModel):
    """An extracted ModernBERT without a head: its tokens' states."""

    config_class = ExtractedModernBertConfig
    _auto_class = "AutoModel"


class ExtractedDebertaV2ForSequenceClassification(ExtractedDebertaV2, DebertaV2ForSequenceClassification):
    """An extracted DeBERTa that classifies texts."""

    config_class = ExtractedDebertaV2Config
    _auto_class = "AutoModelForSequenceClassification"
    wide = ("pooler.dense", "classifier")


class ExtractedDebertaV2ForQuestionAnswering(ExtractedDebertaV2, DebertaV2ForQuestionAnswering):
    """An extracted DeBERTa that answers questions."""

    config_class = ExtractedDebertaV2Config
    _auto_class = "AutoModelForQuestionAnswering"


class ExtractedDebertaV2ForTokenClassification(ExtractedDebertaV2, DebertaV2ForTokenClassification):
    """An extracted DeBERTa that classifies tokens."""

    config_class = ExtractedDebertaV2Config
    _auto_class = "AutoModelForTokenClassification"


class ExtractedDebertaV2Model(ExtractedDebertaV2, DebertaV2Model):
    """An extracted DeBERTa without a head: its tokens' states."""

    config_class = ExtractedDebertaV2Config
    _auto_class = "AutoModel"
