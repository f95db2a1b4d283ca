"""Names whose values are imported when they are looked up: whoever only lists them need not import torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")


@dataclass(frozen=True)
class Place:
    """Where a value is.

    Attributes:
        path: module and name, `pruners.kcm:KCM`, within this package.
        arguments, options: its first arguments and its keywords, if the value is that function or class with these.
    """

    path: str
    arguments: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Any:
        """Import the value."""
        module, name = self.path.split(":")
        value = getattr(import_module(f"secateur.{module}"), name)
        return partial(value, *self.arguments, **self.options) if self.arguments or self.options else value


class Registry(MutableMapping[str, T], Generic[T]):
    """A dict by name, in the order it was written, some of whose values are not imported yet.

    Args:
        entries: values, or their places.

    Example:
        >>> PRUNERS: Registry[type] = Registry({"kcm": Place("pruners.kcm:KCM")})
        >>> list(PRUNERS)  # imports nothing
        ['kcm']
    """

    def __init__(self, entries: Mapping[str, T | Place]) -> None:
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> T:
        entry = self._entries[name]
        return entry.load() if isinstance(entry, Place) else cast("T", entry)

    def __setitem__(self, name: str, value: T) -> None:
        self._entries[name] = value

    def __delitem__(self, name: str) -> None:
        del self._entries[name]

    def __contains__(self, name: object) -> bool:  # the one of Mapping looks the value up
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def importer(package: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a package's `__getattr__`, which imports its names when they are first used.

    Args:
        package: its `__name__`.
        places: the module within it of each name; not the name itself, for an import of that module would hide it.
    """

    def getter(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{places[name]}"), name)

    return getter
