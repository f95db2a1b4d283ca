"""Turns a command's pydantic settings into a typer command: one option per field, its description as the help."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel, JsonValue, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from typer.core import TyperCommand, TyperGroup

from ..errors import InputError
from ..run.settings import ALSO, Budgets, FarmSettings, ProjectSettings, TrackingSettings
from .config import as_yaml, group_of, nested, read_config

Settings = TypeVar("Settings", bound=BaseModel)
# In a field's json_schema_extra: the field is a positional argument rather than an option.
ARGUMENT: dict[str, JsonValue] = {"argument": True}
# Sections of a command's help: of fields that it has from these, and in which order; a group's lies between.
_SECTIONS = {ProjectSettings: "Project", Budgets: "Budgets", FarmSettings: "Workers", TrackingSettings: "Tracking"}
_ORDER = {"Arguments": -3, "Project": -2, "Options": -1, "Workers": 1, "Tracking": 2, "General": 3}


class Command(TyperCommand):
    """Shows its options in sections."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the help's sections, each option whole."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if (record := parameter.get_help_record(ctx)) is not None:
                sections.setdefault(getattr(parameter, "rich_help_panel", None) or "General", []).append(record)
        for title in sorted(sections, key=lambda title: _ORDER.get(title, 0)):
            with formatter.section(title):
                formatter.write_dl(sections[title])


class Group(TyperGroup):
    """Shows its commands in sections."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section of commands for each panel, with the first line of their help."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            panel = getattr(self.commands[name], "rich_help_panel", None) or "Commands"
            sections.setdefault(panel, []).append((name, (self.commands[name].help or "").partition("\n")[0]))
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)


def command(
    app: typer.Typer, name: str, model: type[Settings], function: Callable[[Settings], None], *, panel: str
) -> None:
    """Add a command that fills `model` from the command line and a file, and calls `function` with it.

    A field that is itself a model becomes a group of options with the field's name before theirs; where that is the
    command's own name, `search --search-budget`, the short form `search --budget` does as well. A field with ALSO in
    its json_schema_extra goes by that name, too, whatever group it is in. The model's docstring is the help. Of the
    settings' `model_fields_set`, in groups too, is what was given: defaults are not.

    Raises:
        InputError: when called with values the model refuses; names the option and the reason.
    """
    leaves = dict(_leaves(model, ()))

    def read(context: typer.Context, config: Path | None) -> None:
        if config is not None:
            context.default_map = {"_".join(path): value for path, value in read_config(config, model)}

    def wrapper(context: typer.Context, **values: Any) -> None:
        given = {leaves[name][0]: value for name, value in values.items() if name in leaves and _given(context, name)}
        settings = _filled(model, given)
        if values["print_config"]:
            typer.echo(as_yaml(settings))
        else:
            function(settings)

    wrapper.__signature__ = inspect.Signature(  # pyright: ignore[reportFunctionMemberAccess]
        [
            _parameter("context", typer.Context),
            *(
                _parameter(
                    parameter,
                    _annotation(parameter, field, own=name, section=_section(model, path)),
                    inspect.Parameter.empty if field.is_required() else field.get_default(call_default_factory=True),
                )
                for parameter, (path, field) in leaves.items()
            ),
            _parameter(
                "config",
                Annotated[
                    Path | None,
                    typer.Option(
                        callback=read,
                        is_eager=True,
                        help="a YAML file of settings, as --print-config prints it; options that are given come first",
                    ),
                ],
                None,
            ),
            _parameter(
                "print_config",
                Annotated[bool, typer.Option("--print-config", help="print the settings as such a file, do no more")],
                False,
            ),
        ]
    )
    wrapper.__name__ = name
    wrapper.__doc__ = inspect.getdoc(model)
    app.command(name, cls=Command, rich_help_panel=panel)(wrapper)


def _parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)  # an enum whose place differs between typer's versions
    return source is not None and source.name != "DEFAULT"


def _leaves(model: type[BaseModel], path: tuple[str, ...]) -> list[tuple[str, tuple[tuple[str, ...], FieldInfo]]]:
    found = []
    for name, field in model.model_fields.items():
        if (group := group_of(field)) is not None:
            found += _leaves(group, (*path, name))
        else:
            found.append(("_".join((*path, name)), ((*path, name), field)))
    return found


def _section(model: type[BaseModel], path: tuple[str, ...]) -> str:
    """Name the section of a field: its group, or else the class that a command has it from."""
    if len(path) > 1:
        return " ".join(path[:-1]).replace("_", " ").capitalize()
    owner = next(base for base in reversed(model.__mro__) if path[0] in getattr(base, "__annotations__", {}))
    return _SECTIONS.get(owner, "Options")


def _annotation(parameter: str, field: FieldInfo, own: str, section: str) -> Any:
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    if extra.get("argument"):
        return Annotated[field.annotation, typer.Argument(help=field.description, rich_help_panel="Arguments")]
    names = [parameter.replace("_", "-")]
    if names[0].startswith(f"{own}-"):
        names.append(names[0].removeprefix(f"{own}-"))
    if ALSO in extra and extra[ALSO] not in names:
        names.append(str(extra[ALSO]))
    flags = [f"--{name}/--no-{name}" if field.annotation is bool else f"--{name}" for name in names]
    flags = [str(extra["flag"])] if "flag" in extra else flags
    has_default = field.default not in (PydanticUndefined, None)
    option = typer.Option(*flags, help=field.description, show_default=has_default, rich_help_panel=section)
    return Annotated[field.annotation, option]


def _filled(model: type[Settings], given: Mapping[tuple[str, ...], Any]) -> Settings:
    try:
        return model.model_validate(nested(given))
    except ValidationError as error:
        first = error.errors()[0]
        option = "-".join(str(part) for part in first["loc"]).replace("_", "-")
        raise InputError(f"--{option}: {first['msg']}, got {first['input']!r}") from error
