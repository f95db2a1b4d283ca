"""Extracted models by family and head; importing this module makes the Auto classes know them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from transformers import PreTrainedConfig, PreTrainedModel
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import AutoConfig

from ..families import FAMILIES, ModelFamily
from ..heads import ENDINGS, auto_class
from ..modeling_secateur import PREFIX, ExtractedConfig
from ..sentence import embedding_class

if TYPE_CHECKING:
    from ...tasks.kinds import Head


def config_class(family: ModelFamily) -> type[ExtractedConfig]:
    """Return the class of the configurations of a family's extracted models."""
    module, _, name = family.extracted.partition(":")
    return getattr(import_module(module), name)


def model_class(family: ModelFamily, head: Head) -> type[PreTrainedModel]:
    """Return the class of a family's extracted models with a head, which is beside their configuration's."""
    config = config_class(family)
    own = import_module(config.__module__)
    if head == "embedding":
        return embedding_class(encoder_of(family))
    return getattr(own, config.__name__.removesuffix("Config") + ENDINGS[head])


def encoder_of(family: ModelFamily) -> type[PreTrainedModel]:
    """Return the class of a family's extracted encoders without a head."""
    config = config_class(family)
    return getattr(import_module(config.__module__), config.__name__.removesuffix("Config") + "Model")


def register_extracted() -> None:
    """Make the Auto classes know the extracted models of all families that there are by now."""
    for family in FAMILIES.values():
        config = config_class(family)
        AutoConfig.register(config.model_type, config, exist_ok=True)
        for head in family.heads:
            made = encoder_of(family) if head == "embedding" else model_class(family, head)
            getattr(modeling_auto, auto_class(head)).register(config, made, exist_ok=True)


register_extracted()  # `secateur.registration` sees to it that loading a model imports this


def is_extracted(config: PreTrainedConfig) -> bool:
    """Tell whether a configuration is an extracted model's."""
    return config.model_type.startswith(PREFIX)


def family_of_extracted(config: PreTrainedConfig) -> ModelFamily:
    """Return the family an extracted model was cut from."""
    return FAMILIES[config.model_type.removeprefix(PREFIX)]


__all__ = [
    "PREFIX",
    "ExtractedConfig",
    "config_class",
    "family_of_extracted",
    "is_extracted",
    "model_class",
    "register_extracted",
]
