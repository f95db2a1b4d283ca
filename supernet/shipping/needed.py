"""Packages that only come with an extra, imported when they are used."""

from __future__ import annotations

import importlib
from typing import Any

from ...errors import InputError


def needed(module: str) -> Any:
    """Import a module of the `onnx` extra.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise InputError(f"{package} cannot be imported ({error}); pip install 'secateur[onnx]'") from error
