"""Block-structured pruning with reweighted group Lasso: groups of weights, found by a penalty and run packed."""

from .fastest import Fastest, fastest
from .project import project
from .pruner import BlockLasso, Compressed
from .settings import BlockLassoSettings

__all__ = ["BlockLasso", "BlockLassoSettings", "Compressed", "Fastest", "fastest", "project"]
