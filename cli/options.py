"""Turns a stage's pydantic settings into a typer command: one option per field, its description as the help."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel, JsonValue, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ..errors import InputError
from ..run.settings import ALSO

Settings = TypeVar("Settings", bound=BaseModel)
# In a field's json_schema_extra: the field is a positional argument rather than an option.
ARGUMENT: dict[str, JsonValue] = {"argument": True}


def command(app: typer.Typer, name: str, model: type[Settings], function: Callable[[Settings], None]) -> None:
    """Add a command that fills `model` from the command line and calls `function` with it.

    A field that is itself a model becomes a group of options with the field's name before theirs; where that is the
    command's own name, `search --search-budget`, the short form `search --budget` does as well. A field with ALSO in
    its json_schema_extra goes by that name, too, whatever group it is in.

    Raises:
        InputError: when called with values the model refuses; names the option and the reason.
    """
    leaves = dict(_leaves(model, ()))

    def wrapper(**values: Any) -> None:
        function(_filled(model, leaves, values))

    parameters = [
        inspect.Parameter(
            parameter,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.is_required() else field.get_default(call_default_factory=True),
            annotation=_annotation(parameter, field, own=name),
        )
        for parameter, (_, field) in leaves.items()
    ]
    wrapper.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess]
    wrapper.__name__ = name
    wrapper.__doc__ = inspect.getdoc(function)
    app.command(name)(wrapper)


def _leaves(model: type[BaseModel], path: tuple[str, ...]) -> list[tuple[str, tuple[tuple[str, ...], FieldInfo]]]:
    found = []
    for name, field in model.model_fields.items():
        if inspect.isclass(field.annotation) and issubclass(field.annotation, BaseModel):
            found += _leaves(field.annotation, (*path, name))
        else:
            found.append(("_".join((*path, name)), ((*path, name), field)))
    return found


def _annotation(parameter: str, field: FieldInfo, own: str) -> Any:
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    if extra.get("argument"):
        return Annotated[field.annotation, typer.Argument(help=field.description)]
    names = [parameter.replace("_", "-")]
    if names[0].startswith(f"{own}-"):
        names.append(names[0].removeprefix(f"{own}-"))
    if ALSO in extra and extra[ALSO] not in names:
        names.append(str(extra[ALSO]))
    flags = [f"--{name}/--no-{name}" if field.annotation is bool else f"--{name}" for name in names]
    flags = [str(extra["flag"])] if "flag" in extra else flags
    has_default = field.default not in (PydanticUndefined, None)
    return Annotated[field.annotation, typer.Option(*flags, help=field.description, show_default=has_default)]


def _filled(
    model: type[Settings], leaves: dict[str, tuple[tuple[str, ...], FieldInfo]], values: dict[str, Any]
) -> Settings:
    tree: dict[str, Any] = {}
    for parameter, value in values.items():
        (*parents, name), field = leaves[parameter]
        if not field.is_required() and value == field.get_default(call_default_factory=True):
            continue  # not given
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = value
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        option = "-".join(str(part) for part in first["loc"]).replace("_", "-")
        raise InputError(f"--{option}: {first['msg']}, got {first['input']!r}") from error
