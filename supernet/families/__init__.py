"""Where each supported model family keeps its parts."""

from transformers import PreTrainedConfig

from ...errors import InputError
from .bert import BERT
from .camembert import CAMEMBERT
from .configuration import check_configuration
from .deberta_v2 import DEBERTA_V2
from .distilbert import DISTILBERT
from .electra import ELECTRA
from .family import Dropout, EmbeddingPaths, HeadPaths, ModelFamily, Reads, reads
from .gte import GTE
from .jina_embeddings_v3 import JINA_EMBEDDINGS_V3
from .modernbert import MODERNBERT
from .mpnet import MPNET
from .nomic_bert import NOMIC_BERT
from .roberta import ROBERTA
from .xlm_roberta import XLM_ROBERTA

FAMILIES: dict[str, ModelFamily] = {
    family.model_type: family
    for family in (
        BERT,
        ROBERTA,
        XLM_ROBERTA,
        CAMEMBERT,
        DISTILBERT,
        ELECTRA,
        MPNET,
        NOMIC_BERT,
        GTE,
        JINA_EMBEDDINGS_V3,
        MODERNBERT,
        DEBERTA_V2,
    )
}

# Why a family that users may well try is not there.
_REFUSED = {
    "albert": "ALBERT shares one set of weights among its layers, so they cannot keep different heads and neurons",
    "deberta": "version 1 of DeBERTa, whose projections have biases in part; those of versions 2 and 3 are supported",
}


def family_of(config: PreTrainedConfig) -> ModelFamily:
    """Return the family a configuration belongs to.

    Raises:
        InputError: the family is not supported (says which are, and why not where that is known), or the configuration
            asks for what is not: see :func:`.configuration.check_configuration`.
    """
    family = FAMILIES.get(config.model_type)
    if family is None:
        reason = _REFUSED.get(config.model_type)
        because = f" ({reason})" if reason else ""
        raise InputError(
            f"models of the family {config.model_type!r} are not supported{because}; supported: "
            f"{', '.join(sorted(FAMILIES))}"
        )
    check_configuration(family, config)
    return family


__all__ = [
    "FAMILIES",
    "Dropout",
    "EmbeddingPaths",
    "HeadPaths",
    "ModelFamily",
    "Reads",
    "check_configuration",
    "family_of",
    "reads",
]
