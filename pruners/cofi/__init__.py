"""CoFi: masks at five granularities, learnt together with the weights under distillation."""
