"""Extracted models by family and head; importing this module makes the Auto classes know them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transformers import PreTrainedModel
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import AutoConfig

from .. import modeling_secateur
from ..families import FAMILIES, ModelFamily
from ..heads import ENDINGS, auto_class
from ..modeling_secateur import (
    PREFIX,
    ExtractedBertConfig,
    ExtractedConfig,
    ExtractedDistilBertConfig,
    ExtractedElectraConfig,
    ExtractedRobertaConfig,
)

if TYPE_CHECKING:
    from ...tasks.kinds import Head

# By the family's `model_type`.
CONFIGS: dict[str, type[ExtractedConfig]] = {
    "bert": ExtractedBertConfig,
    "roberta": ExtractedRobertaConfig,
    "distilbert": ExtractedDistilBertConfig,
    "electra": ExtractedElectraConfig,
}
# By the family's `model_type` and the head.
MODELS: dict[tuple[str, Head], type[PreTrainedModel]] = {
    (family, head): getattr(modeling_secateur, config.__name__.removesuffix("Config") + ending)
    for family, config in CONFIGS.items()
    for head, ending in ENDINGS.items()
}


# `secateur.registration` sees to it that loading a model imports this.
for _config in CONFIGS.values():
    AutoConfig.register(_config.model_type, _config, exist_ok=True)


for (_, _head), _model in MODELS.items():
    getattr(modeling_auto, auto_class(_head)).register(_model.config_class, _model, exist_ok=True)


def family_of_extracted(config: ExtractedConfig) -> ModelFamily:
    """Return the family an extracted model was cut from."""
    return FAMILIES[config.model_type.removeprefix(PREFIX)]


__all__ = [
    "CONFIGS",
    "MODELS",
    "PREFIX",
    "ExtractedConfig",
    "family_of_extracted",
]
