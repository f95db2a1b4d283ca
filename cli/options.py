"""Turns a command's pydantic settings into a typer command: one option per field, its description as the help."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel, JsonValue, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from typer.core import TyperCommand, TyperGroup

from ..errors import InputError
from ..run.settings.base import ALSO
from ..run.settings.choice import Budgets
from ..run.settings.project import ProjectSettings
from ..run.settings.search import FarmSettings
from ..run.settings.training import TrackingSettings
from .config import Values, as_yaml, nested, read_config
from .spelling import spelled

Settings = TypeVar("Settings", bound=BaseModel)
# In a field's json_schema_extra: the field is a positional argument rather than an option.
ARGUMENT: dict[str, JsonValue] = {"argument": True}
# Sections of a command's help: of fields that it has from these, and their order; those of groups lie in the middle.
_SECTIONS = {ProjectSettings: "Project", Budgets: "Budgets", FarmSettings: "Workers", TrackingSettings: "Tracking"}
_CONFIG = "a YAML file of settings, as --print-config prints it; options that are given come first"
_PRINT = "print the settings as such a file, and do no more"
_ORDER = {"Arguments": -3, "Project": -2, "Options": -1, "Workers": 1, "Tracking": 2, "General": 3}


Rows = Iterable[tuple[str, tuple[str, str] | None]]


def _write(formatter: Any, rows: Rows) -> None:
    """Write a help's rows, each whole, by the section that stands before them."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for title, row in rows:
        if row is not None:
            sections.setdefault(title, []).append(row)
    for title in sorted(sections, key=lambda title: _ORDER.get(title, 0)):
        with formatter.section(title):
            formatter.write_dl(sections[title])


class Command(TyperCommand):
    """Shows its options in sections."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options' part of the help."""
        of = self.get_params(ctx)
        _write(formatter, ((getattr(p, "rich_help_panel", None) or "General", p.get_help_record(ctx)) for p in of))


class Group(TyperGroup):
    """Shows its commands in sections, with the first line of their help."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands' part of the help."""
        of = [self.commands[name] for name in self.list_commands(ctx)]
        _write(formatter, ((str(c.rich_help_panel), (str(c.name), (c.help or "").partition("\n")[0])) for c in of))  # pyright: ignore[reportAttributeAccessIssue]


def command(
    app: typer.Typer, name: str, model: type[Settings], function: Callable[[Settings], None], *, panel: str
) -> None:
    """Add a command that fills `model` from the command line and a file, and calls `function` with it.

    A field that is itself a model becomes a group of options with the field's name before theirs; where that is the
    command's own name, `search --search-budget`, the short form `search --budget` does as well. A field with ALSO in
    its json_schema_extra goes by that name, too, whatever group it is in. The model's docstring is the help. Of the
    settings' `model_fields_set`, in groups too, is what was given: defaults are not.

    Raises:
        InputError: when called with values the model refuses, and what `function` raises; names the option.
    """
    leaves = dict(_leaves(model, ()))

    def read(context: typer.Context, config: Path | None) -> None:
        if config is not None:
            context.default_map = {"_".join(path): value for path, value in read_config(config, model).items()}

    def wrapper(context: typer.Context, **values: Any) -> None:
        sources = {name: context.get_parameter_source(name) for name in leaves}
        given = {
            leaves[name][0]: values[name] for name, source in sources.items() if source and source.name != "DEFAULT"
        }
        try:
            settings = _filled(model, given)
            if values["print_config"]:
                typer.echo("\n".join(as_yaml(settings)))
            else:
                function(settings)
        except InputError as error:  # of the library, which does not know how options are spelt
            options = {p.name: p.opts[0] for p in context.command.params if p.name and p.opts[0].startswith("--")}
            raise InputError(spelled(str(error), options)) from error

    none = inspect.Parameter.empty
    parameters: list[tuple[str, Any, Any]] = [("context", typer.Context, none)]
    for parameter, (path, field) in leaves.items():
        default = none if field.is_required() else field.get_default(call_default_factory=True)
        parameters.append((parameter, _annotation(parameter, field, own=name, section=_section(model, path)), default))
    config, printed = (
        typer.Option(callback=read, is_eager=True, help=_CONFIG),
        typer.Option("--print-config", help=_PRINT),
    )
    parameters += [("config", Annotated[Path | None, config], None), ("print_config", Annotated[bool, printed], False)]
    wrapper.__signature__ = inspect.Signature(  # pyright: ignore[reportFunctionMemberAccess]
        [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=d, annotation=a) for name, a, d in parameters]
    )
    wrapper.__name__ = name
    wrapper.__doc__ = inspect.getdoc(model)
    app.command(name, cls=Command, rich_help_panel=panel)(wrapper)


def _leaves(model: type[BaseModel], path: tuple[str, ...]) -> list[tuple[str, tuple[tuple[str, ...], FieldInfo]]]:
    found = []
    for name, field in model.model_fields.items():
        if inspect.isclass(field.annotation) and issubclass(field.annotation, BaseModel):
            found += _leaves(field.annotation, (*path, name))
        else:
            found.append(("_".join((*path, name)), ((*path, name), field)))
    return found


def _section(model: type[BaseModel], path: tuple[str, ...]) -> str:
    """Name the section of a field: its group, or else the class that a command has it from."""
    *groups, name = path
    if groups:
        return " ".join(groups).replace("_", " ").capitalize()
    owner = next(base for base in reversed(model.__mro__) if name in getattr(base, "__annotations__", {}))
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
    offered = extra.get("choices")
    choices = list(map(str, offered)) if isinstance(offered, list) else []
    option = typer.Option(
        *flags,
        help=field.description,
        show_default=has_default,
        rich_help_panel=section,
        autocompletion=(lambda incomplete: [c for c in choices if c.startswith(incomplete)]) if choices else None,
    )
    return Annotated[field.annotation, option]


def _filled(model: type[Settings], given: Values) -> Settings:
    try:
        return model.model_validate(nested(given))
    except ValidationError as error:
        first = error.errors()[0]
        option = "-".join(str(part) for part in first["loc"]).replace("_", "-")
        raise InputError(f"--{option}: {first['msg']}, got {first['input']!r}") from error
