"""One model that holds every subnetwork: to run, to train, to extract from."""

from .supernet import Subnet, Supernet

__all__ = ["Subnet", "Supernet"]
