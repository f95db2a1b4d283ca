"""What may be removed from an encoder, as boxes of integers."""

from .mask import EncoderShape, SubnetMask, TokenSet
from .scores import UnitScores
from .spaces import SPACES, Large, Layer, Medium, SearchSpace, Small
from .vocabularies import WithVocabularies

__all__ = [
    "SPACES",
    "EncoderShape",
    "Large",
    "Layer",
    "Medium",
    "SearchSpace",
    "Small",
    "SubnetMask",
    "TokenSet",
    "UnitScores",
    "WithVocabularies",
]
