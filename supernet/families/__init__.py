"""Where each supported model family keeps its parts."""

from transformers import PreTrainedConfig

from ...errors import InputError
from .bert import BERT
from .camembert import CAMEMBERT
from .configuration import check_configuration
from .distilbert import DISTILBERT
from .electra import ELECTRA
from .family import Dropout, HeadPaths, ModelFamily
from .roberta import ROBERTA
from .xlm_roberta import XLM_ROBERTA

FAMILIES: dict[str, ModelFamily] = {
    family.model_type: family for family in (BERT, ROBERTA, XLM_ROBERTA, CAMEMBERT, DISTILBERT, ELECTRA)
}

# Why a family that users may well try is not there.
_REFUSED = {
    "albert": "ALBERT shares one set of weights among its layers, so they cannot keep different heads and neurons",
    "deberta": "DeBERTa's relative positions add projections that are not sliced yet",
    "deberta-v2": "DeBERTa's relative positions add projections that are not sliced yet",
    "modernbert": "ModernBERT normalises before its blocks and gates its feed-forward layers",
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


__all__ = ["FAMILIES", "Dropout", "HeadPaths", "ModelFamily", "check_configuration", "family_of"]
