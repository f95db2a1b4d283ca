"""A command's settings as a YAML file: a key for each, a mapping for each group of them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from ..errors import InputError

_WIDE = 1_000_000  # characters, so that no value is broken into lines


def group_of(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model of a field that is a group of settings; None for a setting."""
    kind = field.annotation
    return kind if inspect.isclass(kind) and issubclass(kind, BaseModel) else None


def nested(values: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    """Return a tree of values by their paths, `("search", "budget")`."""
    tree: dict[str, Any] = {}
    for (*parents, name), value in values.items():
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = value
    return tree


def read_config(file: Path, model: type[BaseModel]) -> Iterable[tuple[tuple[str, ...], Any]]:
    """Return a file's settings for a model, by their paths; what is empty there is not given.

    Raises:
        InputError: no such file, no YAML, a key that is no setting, or a value that is refused; names file and key.
    """
    import yaml  # here and below: most commands are given no file

    try:
        tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}; --config needs a YAML file of settings") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{file} is no YAML file: {' '.join(str(error).split())}") from error
    given = dict(_settings(file, model, tree, ()))
    try:
        model.model_validate(nested(given))
    except ValidationError as error:
        for wrong in error.errors():
            if wrong["type"] != "missing":  # which the command line may have
                key = ".".join(str(part) for part in wrong["loc"])
                raise InputError(f"{file}: {key}: {wrong['msg']}, got {wrong['input']!r}") from error
    return given.items()


def _settings(
    file: Path, model: type[BaseModel], tree: Any, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    if tree is None:
        return
    if not isinstance(tree, dict):
        raise InputError(f"{file}: {'.'.join(path) or 'it'} must be a mapping of settings to values, got {tree!r}")
    for name, value in tree.items():
        here = (*path, str(name))
        if name not in model.model_fields:
            known = ", ".join(model.model_fields)
            raise InputError(f"{file}: {'.'.join(here)} is no setting of this command; known here: {known}")
        field = model.model_fields[name]
        if (group := group_of(field)) is not None:
            yield from _settings(file, group, value, here)
        elif isinstance(value, list) and get_origin(field.annotation) is not list:
            yield here, ",".join(map(str, value))
        elif value is not None:
            yield here, value


def as_yaml(settings: BaseModel) -> str:
    """Write settings as a file for --config; what was not given is a comment with its default."""
    return "\n".join(_lines(settings, settings.model_dump(mode="json"), ""))


def _lines(settings: BaseModel, values: dict[str, Any], indent: str) -> Iterator[str]:
    import yaml

    for name, value in values.items():
        own = getattr(settings, name)
        if isinstance(own, BaseModel):
            yield f"{indent}{name}:"
            yield from _lines(own, value, f"{indent}  ")
        else:
            text = yaml.safe_dump(value, default_flow_style=True, width=_WIDE, allow_unicode=True)
            mark = "" if name in settings.model_fields_set else "# "
            yield f"{indent}{mark}{name}: {text.splitlines()[0]}"
