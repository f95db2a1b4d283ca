"""Configurations of extracted models: uneven layers in transformers' own ``per_layer_config`` format."""

from __future__ import annotations

from dataclasses import dataclass

from huggingface_hub.dataclasses import strict
from transformers.models.bert.configuration_bert import BertConfig
from transformers.models.distilbert.configuration_distilbert import DistilBertConfig
from transformers.models.electra.configuration_electra import ElectraConfig
from transformers.models.roberta.configuration_roberta import RobertaConfig

PREFIX = "secateur-"  # before the family's own model_type


@dataclass(kw_only=True, repr=False, eq=False)
class ExtractedFields:
    """What an extracted model needs to know beyond its family's configuration and ``per_layer_config``.

    ``hidden_size`` is the kept width of the residual stream; the number of heads and of neurons are those of the full
    encoder, and each layer that differs has its own under ``per_layer_config``, with ``"skip": ["attention"]`` or
    ``["mlp"]`` for a dropped block. Layers without any block are gone, and ``num_hidden_layers`` counts the others.

    Attributes:
        head_dim: width of one attention head; ``hidden_size`` need not be a multiple of it.
        classifier_size: width of the dense layer of the classification head, which stays the full hidden size.
        secateur_key: `SubnetMask.key` of the subnetwork this is.
    """

    head_dim: int = 64
    classifier_size: int = 768
    secateur_key: str | None = None


@strict
class ExtractedBertConfig(ExtractedFields, BertConfig):
    """An extracted BERT."""

    model_type = PREFIX + "bert"


@strict
class ExtractedRobertaConfig(ExtractedFields, RobertaConfig):
    """An extracted RoBERTa."""

    model_type = PREFIX + "roberta"


@strict
class ExtractedDistilBertConfig(ExtractedFields, DistilBertConfig):
    """An extracted DistilBERT."""

    model_type = PREFIX + "distilbert"


@strict
class ExtractedElectraConfig(ExtractedFields, ElectraConfig):
    """An extracted ELECTRA.

    Attributes:
        project_embeddings: embeddings are projected to the encoder's width. ELECTRA's own rule, "where the two widths
            differ", fails for a pruned residual stream that happens to be as wide as the embeddings.
    """

    model_type = PREFIX + "electra"
    project_embeddings: bool = False


ExtractedConfig = ExtractedBertConfig | ExtractedRobertaConfig | ExtractedDistilBertConfig | ExtractedElectraConfig
CONFIGS: dict[str, type[ExtractedConfig]] = {
    "bert": ExtractedBertConfig,
    "roberta": ExtractedRobertaConfig,
    "distilbert": ExtractedDistilBertConfig,
    "electra": ExtractedElectraConfig,
}
