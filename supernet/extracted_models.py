"""Extracted models, a class for each family and head; importing this module makes the Auto classes know them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transformers import PreTrainedModel
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import AutoConfig
from transformers.models.bert.modeling_bert import (
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)
from transformers.models.distilbert.modeling_distilbert import (
    DistilBertForQuestionAnswering,
    DistilBertForSequenceClassification,
    DistilBertForTokenClassification,
)
from transformers.models.electra.modeling_electra import (
    ElectraForQuestionAnswering,
    ElectraForSequenceClassification,
    ElectraForTokenClassification,
)
from transformers.models.roberta.modeling_roberta import (
    RobertaForQuestionAnswering,
    RobertaForSequenceClassification,
    RobertaForTokenClassification,
)

from .extracted import ExtractedModel
from .extracted_configs import (
    CONFIGS,
    ExtractedBertConfig,
    ExtractedDistilBertConfig,
    ExtractedElectraConfig,
    ExtractedRobertaConfig,
)
from .heads import auto_class

if TYPE_CHECKING:
    from ..tasks.kinds import Head


class ExtractedBertForSequenceClassification(ExtractedModel, BertForSequenceClassification):
    """An extracted BERT that classifies texts."""

    config_class = ExtractedBertConfig


class ExtractedBertForQuestionAnswering(ExtractedModel, BertForQuestionAnswering):
    """An extracted BERT that answers questions."""

    config_class = ExtractedBertConfig


class ExtractedBertForTokenClassification(ExtractedModel, BertForTokenClassification):
    """An extracted BERT that classifies tokens."""

    config_class = ExtractedBertConfig


class ExtractedRobertaForSequenceClassification(ExtractedModel, RobertaForSequenceClassification):
    """An extracted RoBERTa that classifies texts."""

    config_class = ExtractedRobertaConfig


class ExtractedRobertaForQuestionAnswering(ExtractedModel, RobertaForQuestionAnswering):
    """An extracted RoBERTa that answers questions."""

    config_class = ExtractedRobertaConfig


class ExtractedRobertaForTokenClassification(ExtractedModel, RobertaForTokenClassification):
    """An extracted RoBERTa that classifies tokens."""

    config_class = ExtractedRobertaConfig


class ExtractedDistilBertForSequenceClassification(ExtractedModel, DistilBertForSequenceClassification):
    """An extracted DistilBERT that classifies texts."""

    config_class = ExtractedDistilBertConfig


class ExtractedDistilBertForQuestionAnswering(ExtractedModel, DistilBertForQuestionAnswering):
    """An extracted DistilBERT that answers questions."""

    config_class = ExtractedDistilBertConfig


class ExtractedDistilBertForTokenClassification(ExtractedModel, DistilBertForTokenClassification):
    """An extracted DistilBERT that classifies tokens."""

    config_class = ExtractedDistilBertConfig


class ExtractedElectraForSequenceClassification(ExtractedModel, ElectraForSequenceClassification):
    """An extracted ELECTRA that classifies texts."""

    config_class = ExtractedElectraConfig


class ExtractedElectraForQuestionAnswering(ExtractedModel, ElectraForQuestionAnswering):
    """An extracted ELECTRA that answers questions."""

    config_class = ExtractedElectraConfig


class ExtractedElectraForTokenClassification(ExtractedModel, ElectraForTokenClassification):
    """An extracted ELECTRA that classifies tokens."""

    config_class = ExtractedElectraConfig


# By the family's `model_type` and the head.
MODELS: dict[tuple[str, Head], type[PreTrainedModel]] = {
    ("bert", "sequence-classification"): ExtractedBertForSequenceClassification,
    ("bert", "question-answering"): ExtractedBertForQuestionAnswering,
    ("bert", "token-classification"): ExtractedBertForTokenClassification,
    ("roberta", "sequence-classification"): ExtractedRobertaForSequenceClassification,
    ("roberta", "question-answering"): ExtractedRobertaForQuestionAnswering,
    ("roberta", "token-classification"): ExtractedRobertaForTokenClassification,
    ("distilbert", "sequence-classification"): ExtractedDistilBertForSequenceClassification,
    ("distilbert", "question-answering"): ExtractedDistilBertForQuestionAnswering,
    ("distilbert", "token-classification"): ExtractedDistilBertForTokenClassification,
    ("electra", "sequence-classification"): ExtractedElectraForSequenceClassification,
    ("electra", "question-answering"): ExtractedElectraForQuestionAnswering,
    ("electra", "token-classification"): ExtractedElectraForTokenClassification,
}

# `secateur.registration` sees to it that loading a model imports this.
for _config in CONFIGS.values():
    AutoConfig.register(_config.model_type, _config, exist_ok=True)
for (_, _head), _model in MODELS.items():
    getattr(modeling_auto, auto_class(_head)).register(_model.config_class, _model, exist_ok=True)
