"""A command's settings as a YAML file: a key for each, a mapping for each group of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ..errors import InputError

Values = dict[tuple[str, ...], Any]  # of settings by their paths, `("search", "budget")`
_WIDE = 1_000_000  # characters, so that no value is broken into lines


def nested(values: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    """Return values as a tree."""
    tree: dict[str, Any] = {}
    for (*parents, name), value in values.items():
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = value
    return tree


def read_config(file: Path, model: type[BaseModel]) -> Values:
    """Return a file's settings for a model; what is empty there is not given.

    Raises:
        InputError: no such file, no YAML, a key that is no setting, or a value that is refused; names file and key.
    """
    import yaml  # here and below: most commands are given no file

    try:
        tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}; --config needs a YAML file of settings") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{file} is no YAML file: {error}") from error
    if not isinstance(tree, dict | None):
        raise InputError(f"{file} must be a mapping of settings to values, got {tree!r}")
    given = dict(_flat(tree or {}, ()))
    try:
        model.model_validate(nested(given))
    except ValidationError as error:
        for wrong in error.errors():
            if wrong["type"] != "missing":  # which the command line may have
                told = "no setting of this command" if wrong["type"] == "extra_forbidden" else wrong["msg"]
                key = ".".join(map(str, wrong["loc"]))
                raise InputError(f"{file}: {key}: {told}, got {wrong['input']!r}") from error
    return given


def _flat(tree: dict[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, (*path, name))
        elif value is not None:
            yield (*path, name), value


def as_yaml(settings: BaseModel, indent: str = "") -> Iterator[str]:
    """Yield the lines of a file for --config; what was not given is a comment with its default."""
    import yaml

    for name, value in settings.model_dump(mode="json").items():
        if isinstance(group := getattr(settings, name), BaseModel):
            yield f"{indent}{name}:"
            yield from as_yaml(group, f"{indent}  ")
        else:
            text = yaml.safe_dump(value, default_flow_style=True, width=_WIDE, allow_unicode=True)
            yield f"{indent}{'' if name in settings.model_fields_set else '# '}{name}: {text.splitlines()[0]}"
