"""How models are trained: fine-tuning, the supernet, recovery."""
