"""Plug-ins: packages that add to the registries, found by their entry points.

A package says in its pyproject.toml which module does so:

    [project.entry-points."secateur.plugins"]
    mine = "my_package.secateur"

That module is imported before settings and the command line are made of the registries. It adds by assignment,
`OBJECTIVES["heads"] = ...`, and must not import `secateur.run` or `secateur.cli`.
"""

from __future__ import annotations

import warnings
from importlib.metadata import entry_points

GROUP = "secateur.plugins"


def load_plugins() -> None:
    """Import all plug-ins; one that fails is named in a warning, and all else goes on without it."""
    for point in entry_points(group=GROUP):
        try:
            point.load()
        except Exception as error:
            warnings.warn(
                f"the plug-in {point.name} ({point.value}) cannot be imported, so what it adds is missing: "
                f"{type(error).__name__}: {error}",
                RuntimeWarning,
                stacklevel=2,
            )
