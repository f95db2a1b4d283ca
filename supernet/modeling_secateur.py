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
)
from transformers.models.camembert.configuration_camembert import CamembertConfig
from transformers.models.camembert.modeling_camembert import (
    CamembertForQuestionAnswering,
    CamembertForSequenceClassification,
    CamembertForTokenClassification,
)
from transformers.models.distilbert.configuration_distilbert import DistilBertConfig
from transformers.models.distilbert.modeling_distilbert import (
    DistilBertForQuestionAnswering,
    DistilBertForSequenceClassification,
    DistilBertForTokenClassification,
)
from transformers.models.electra.configuration_electra import ElectraConfig
from transformers.models.electra.modeling_electra import (
    ElectraForQuestionAnswering,
    ElectraForSequenceClassification,
    ElectraForTokenClassification,
)
from transformers.models.roberta.configuration_roberta import RobertaConfig
from transformers.models.roberta.modeling_roberta import (
    RobertaForQuestionAnswering,
    RobertaForSequenceClassification,
    RobertaForTokenClassification,
)
from transformers.models.xlm_roberta.configuration_xlm_roberta import XLMRobertaConfig
from transformers.models.xlm_roberta.modeling_xlm_roberta import (
    XLMRobertaForQuestionAnswering,
    XLMRobertaForSequenceClassification,
    XLMRobertaForTokenClassification,
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
        head_dim: width of one attention head; ``hidden_size`` need not be a multiple of it.
        classifier_size: width of the dense layer of the classification head, which stays the full hidden size.
        secateur_key: the subnetwork this is, as Secateur's commands call it.
    """

    head_dim: int = 64
    classifier_size: int = 768
    secateur_key: str | None = None


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


ExtractedConfig = (
    ExtractedBertConfig
    | ExtractedRobertaConfig
    | ExtractedXLMRobertaConfig
    | ExtractedCamembertConfig
    | ExtractedDistilBertConfig
    | ExtractedElectraConfig
)


@dataclass(frozen=True)
class LayerSizes:
    """Heads and neurons of one layer; 0 for a dropped block."""

    heads: int
    neurons: int


def neurons_field(config: ExtractedConfig) -> str:
    """Return the configuration's attribute for the number of neurons."""
    return "hidden_dim" if isinstance(config, ExtractedDistilBertConfig) else "intermediate_size"


def layer_sizes(config: ExtractedConfig) -> list[LayerSizes]:
    """Read the sizes of each layer from an extracted model's configuration."""
    sizes = []
    for layer in config.per_layer_config:
        skip = getattr(layer, "skip", ())
        heads = 0 if ATTENTION in skip else int(layer.num_attention_heads)  # pyright: ignore[reportAttributeAccessIssue]
        sizes.append(LayerSizes(heads, 0 if FFN in skip else int(getattr(layer, neurons_field(config)))))
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


def _fit_bert_layer(layer: Any, config: ExtractedConfig, sizes: LayerSizes) -> None:
    """Give a layer of BERT, ELECTRA or of one of the RoBERTas its sizes; what passes by stands for a dropped block."""
    hidden, width = int(config.hidden_size), sizes.heads * config.head_dim
    if sizes.heads:
        reader = layer.attention.self
        reader.query, reader.key, reader.value = (nn.Linear(hidden, width) for _ in range(3))
        layer.attention.output.dense = nn.Linear(width, hidden)
        reader.num_attention_heads, reader.all_head_size = sizes.heads, width
        reader.attention_head_size, reader.scaling = config.head_dim, config.head_dim**-0.5
    else:
        layer.attention = PassInput()
    if sizes.neurons:
        layer.intermediate.dense = nn.Linear(hidden, sizes.neurons)
        layer.output.dense = nn.Linear(sizes.neurons, hidden)
    else:
        layer.intermediate, layer.output = nn.Identity(), PassResidual()


def _fit_distilbert_layer(layer: Any, config: ExtractedConfig, sizes: LayerSizes) -> None:
    """Give a layer of DistilBERT its sizes."""
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


# --- models -----------------------------------------------------------------------------------------------------------


class ExtractedModel:
    """What the extracted models share: Hugging Face's model is made first, then its layers get their sizes.

    Abstract; comes before a Hugging Face class among the bases. No full-size weight is ever made under
    `from_pretrained`, which builds on the meta device.

    Attributes:
        wide: paths of the head's dense layer, which keeps the full width, and of the classifier that reads it; none in
            a head that reads the encoder's tokens itself.
    """

    wide: ClassVar[tuple[str, str] | None] = None

    def __init__(self, config: ExtractedConfig) -> None:
        stub = _stub(config)
        super().__init__(stub)  # pyright: ignore[reportCallIssue]
        config._attn_implementation = stub._attn_implementation  # resolved by the constructor
        for module in self.modules():  # pyright: ignore[reportAttributeAccessIssue]
            if getattr(module, "config", None) is stub:
                module.config = config
        _fit(self, config)  # pyright: ignore[reportArgumentType]
        self.post_init()  # pyright: ignore[reportAttributeAccessIssue]


def _stub(config: ExtractedConfig) -> ExtractedConfig:
    """Return a configuration that Hugging Face's constructors accept, with layers of one head and one neuron.

    One head divides any hidden size, which the constructors insist on; what they build too wide is replaced at once.
    """
    stub = copy.deepcopy(config)
    stub.per_layer_config = None
    stub.num_attention_heads = 1
    setattr(stub, neurons_field(config), 1)
    return stub


def _fit(model: Any, config: ExtractedConfig) -> None:
    """Give the layers and the head of a freshly made model the sizes of the configuration."""
    base: Any = model.base_model
    distilbert = isinstance(config, ExtractedDistilBertConfig)
    fit, layers = (_fit_distilbert_layer, base.transformer) if distilbert else (_fit_bert_layer, base.encoder)
    for layer, sizes in zip(layers.layer, layer_sizes(config), strict=True):
        fit(layer, config, sizes)
    if model.wide is not None:
        dense, classifier = model.wide
        model.set_submodule(dense, nn.Linear(config.hidden_size, config.classifier_size))
        model.set_submodule(classifier, nn.Linear(config.classifier_size, int(config.num_labels or 0)))
    if isinstance(config, ExtractedElectraConfig):
        _fit_projection(base, config)


def _fit_projection(base: Any, config: ExtractedElectraConfig) -> None:
    if config.project_embeddings:
        base.embeddings_project = nn.Linear(config.embedding_size, config.hidden_size)
    elif hasattr(base, "embeddings_project"):
        raise ValueError(
            f"embeddings of width {config.embedding_size} do not fit a residual stream of {config.hidden_size} without "
            "a projection; set project_embeddings in the configuration"
        )


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


class ExtractedDistilBertForSequenceClassification(ExtractedModel, DistilBertForSequenceClassification):
    """An extracted DistilBERT that classifies texts."""

    config_class = ExtractedDistilBertConfig
    _auto_class = "AutoModelForSequenceClassification"
    wide = ("pre_classifier", "classifier")


class ExtractedDistilBertForQuestionAnswering(ExtractedModel, DistilBertForQuestionAnswering):
    """An extracted DistilBERT that answers questions."""

    config_class = ExtractedDistilBertConfig
    _auto_class = "AutoModelForQuestionAnswering"


class ExtractedDistilBertForTokenClassification(ExtractedModel, DistilBertForTokenClassification):
    """An extracted DistilBERT that classifies tokens."""

    config_class = ExtractedDistilBertConfig
    _auto_class = "AutoModelForTokenClassification"


class ExtractedElectraForSequenceClassification(ExtractedModel, ElectraForSequenceClassification):
    """An extracted ELECTRA that classifies texts."""

    config_class = ExtractedElectraConfig
    _auto_class = "AutoModelForSequenceClassification"
    wide = ("classifier.dense", "classifier.out_proj")


class ExtractedElectraForQuestionAnswering(ExtractedModel, ElectraForQuestionAnswering):
    """An extracted ELECTRA that answers questions."""

    config_class = ExtractedElectraConfig
    _auto_class = "AutoModelForQuestionAnswering"


class ExtractedElectraForTokenClassification(ExtractedModel, ElectraForTokenClassification):
    """An extracted ELECTRA that classifies tokens."""

    config_class = ExtractedElectraConfig
    _auto_class = "AutoModelForTokenClassification"
