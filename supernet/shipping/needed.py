"""Packages that only come with an extra, imported when they are used."""

from __future__ import annotations

import importlib
from typing import Any

from ...errors import InputError

_EXTRAS = {"openvino": "openvino", "nncf": "openvino"}  # others come with `onnx`


def needed(module: str) -> Any:
    """Import a module of the extras `onnx` or `openvino`.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        extra = _EXTRAS.get(package, "onnx")
        raise InputError(f"{package} cannot be imported ({error}); pip install 'secateur[{extra}]'") from error
