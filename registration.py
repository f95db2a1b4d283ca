"""Makes the Auto classes of transformers know extracted models, without importing transformers before the user does."""

from __future__ import annotations

import warnings
from importlib import import_module
from types import ModuleType
from typing import Any

import wrapt

# The model types of extracted models, and the names of their configuration classes in `supernet.modeling_secateur`.
_CONFIGS = {
    "secateur-bert": "ExtractedBertConfig",
    "secateur-roberta": "ExtractedRobertaConfig",
    "secateur-xlm-roberta": "ExtractedXLMRobertaConfig",
    "secateur-camembert": "ExtractedCamembertConfig",
    "secateur-distilbert": "ExtractedDistilBertConfig",
    "secateur-electra": "ExtractedElectraConfig",
    "secateur-mpnet": "ExtractedMPNetConfig",
    "secateur-nomic_bert": "ExtractedNomicBertConfig",
    "secateur-gte": "ExtractedGteConfig",
    "secateur-jina_embeddings_v3": "ExtractedJinaEmbeddingsV3Config",
    "secateur-deberta-v2": "ExtractedDebertaV2Config",
    "secateur-modernbert": "ExtractedModernBertConfig",
}


class _Later:
    """Stands for a configuration class among transformers' own until one is asked for.

    transformers imports its Auto classes while others of its modules are half imported, so nothing of ours that needs
    them can be imported at that moment. The first use comes when somebody loads a model: then our classes are
    imported, and by that they register themselves, models included, in the place of this.
    """

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def _load(self) -> Any:
        # By their full names: a test runner may have imported the repository's root under another name as well.
        import_module("secateur.supernet.stored.extracted")
        return getattr(import_module("secateur.supernet.modeling_secateur"), self.__name__)

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._load(), attribute)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._load()(*arguments, **options)


def register() -> None:
    """Register extracted models with the Auto classes: at once, or when transformers imports them."""
    wrapt.register_post_import_hook(_register, "transformers.models.auto.configuration_auto")


def _register(module: ModuleType) -> None:
    """Enter our model types; a failure must not break the user's import of transformers."""
    try:
        for model_type, name in _CONFIGS.items():
            if model_type not in module.CONFIG_MAPPING:
                module.CONFIG_MAPPING.register(model_type, _Later(name))
    except Exception as error:
        warnings.warn(
            "secateur could not register its models with this transformers, so the Auto classes cannot load them: "
            f"{type(error).__name__}: {error}",
            RuntimeWarning,
            stacklevel=2,
        )
