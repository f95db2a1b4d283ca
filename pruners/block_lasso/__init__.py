"""Block-structured pruning with reweighted group Lasso: groups of weights, found by a penalty and run packed."""
