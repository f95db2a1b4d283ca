"""Parameters that an extracted subnetwork has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...search_space import SubnetMask
from .objective import Objective

if TYPE_CHECKING:
    from ...supernet import Supernet


def encoder_parameters(supernet: Supernet) -> Objective:
    """Count the kept layers' parameters, biases and LayerNorms included; no embeddings, no head."""
    shape = supernet.shape
    return Objective("encoder_parameters", "parameters", lambda mask: float(mask.encoder_parameters(shape)))


def parameters(supernet: Supernet) -> Objective:
    """Count all parameters of the extracted model: embeddings and head as well as the encoder.

    The authors' formula charges attention's output projection in full; this one counts what is there.
    """
    shape, everything, embeddings = supernet.shape, supernet.parameters, supernet.embeddings
    others = sum(everything[f"{path}.weight"].shape[0] for path in embeddings.tables if path != embeddings.word)
    embedding_size = everything[f"{embeddings.word}.weight"].shape[1]
    norm = 1 + shape.norm_biases
    family, around, shared = supernet.family, 0, 0  # beside the layers: of each residual dimension, and of any number
    for path in (family.final_norm, family.distances_norm):
        around += norm * (path is not None and f"{path}.weight" in everything)
    if family.distances is not None:
        around += everything[f"{family.distances}.weight"].shape[0]
    if family.relative_bias is not None:
        shared = everything[f"{family.relative_bias}.weight"].numel()
    head = [
        everything[f"{path}.{kind}"]
        for path in supernet.head_paths.modules
        for kind in ("weight", "bias")
        if f"{path}.{kind}" in everything
    ]
    # Only the first linear map of a head reads the residual stream.
    reading = everything[f"{supernet.head_paths.linears[0]}.weight"].shape[0]
    fixed = sum(one.numel() for one in head) - reading * shape.hidden_size + shared

    def count(mask: SubnetMask) -> float:
        width, rows = mask.hidden_size, supernet.words(mask) + others
        if supernet.projected:
            found = (rows + norm) * embedding_size + (embedding_size + 1) * width
        else:
            found = (rows + norm) * width
        return float(found + mask.encoder_parameters(shape) + around * width + reading * width + fixed)

    return Objective("parameters", "parameters", count)
