"""From a model of a run to one that is served."""
