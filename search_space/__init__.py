"""What may be removed from an encoder, as boxes of integers."""

from .mask import EncoderShape, SubnetMask
from .scores import UnitScores
from .spaces import SPACES, Large, Layer, Medium, SearchSpace, Small

__all__ = ["SPACES", "EncoderShape", "Large", "Layer", "Medium", "SearchSpace", "Small", "SubnetMask", "UnitScores"]
