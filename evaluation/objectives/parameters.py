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
    family, everything = supernet.family, supernet.parameters
    paths = family.embeddings
    tables = [p for p in (paths.word, paths.position, paths.token_type) if p is not None]
    rows = sum(everything[f"{path}.weight"].shape[0] for path in tables)
    embedding_size = everything[f"{paths.word}.weight"].shape[1]
    *dense, classifier = (everything[f"{path}.weight"].shape for path in supernet.head_paths.linears)

    def count(mask: SubnetMask) -> float:
        width = mask.hidden_size
        if supernet.projected:
            embeddings = rows * embedding_size + 2 * embedding_size + (embedding_size + 1) * width
        else:
            embeddings = rows * width + 2 * width
        head = sum(rows * (width + 1) for rows, _ in dense)
        head += classifier[0] * ((classifier[1] if dense else width) + 1)
        return float(embeddings + mask.encoder_parameters(supernet.shape) + head)

    return Objective("parameters", "parameters", count)
