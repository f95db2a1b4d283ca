"""Models whose linear maps are stored as dense slabs of blocks."""
