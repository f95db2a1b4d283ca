"""One model that holds every subnetwork: to run, to train, to extract from."""

from typing import TYPE_CHECKING

from ..registry import importer

if TYPE_CHECKING:
    from .supernet import Subnet, Supernet

__getattr__ = importer(__name__, {"Subnet": "supernet", "Supernet": "supernet"})

__all__ = ["Subnet", "Supernet"]
