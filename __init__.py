"""Secateur finds, inside one fine-tuned BERT, the Pareto front of its subnetworks."""

from .registration import register

__version__ = "0.1.0"

register()
