"""Models whose linear maps are stored as dense slabs of blocks."""

from typing import Literal

Scheme = Literal["row", "column"]  # a group of weights is a row, or a column, inside one slab
