"""Functions of the user's own, by their import paths."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import Any

from ..errors import InputError

_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def own_function(path: str, what: str) -> Callable[..., Any]:
    """Import a function by its path, `mypackage.module:function`.

    Args:
        path: where it is; the module must be where Python looks for modules.
        what: what messages call it.

    Raises:
        InputError: no such module or function.
    """
    module, _, name = path.partition(":")
    if not _PATH.fullmatch(path):
        raise InputError(f"a {what} of your own is given as mypackage.module:function, got {path!r}")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except Exception as error:  # whatever a module of the user's does as it is imported
        raise InputError(
            f"the {what} {path} cannot be imported ({type(error).__name__}: {error}); is {module.partition('.')[0]} "
            "installed, or its folder in PYTHONPATH?"
        ) from error
    if not callable(found):
        raise InputError(f"the module {module} has no function {name}; name the {what} as it is called there")
    return found
