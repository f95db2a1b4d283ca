"""The library's messages in the words of the command line: settings become options, calls commands."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..run import settings

_SETTING = re.compile(r"`([a-z_0-9]+)`")
_CALL = re.compile(r'`Run\("(.*?)"\)\.(\w+)\((.*?)\)`')
_CREATE = re.compile(r'`Run\.create\("(.*?)", .*?\)`')
_ARGUMENT = re.compile(r'(\w+)=(?:"(.*?)"|(\S+?))(?:, |$)')
_COMMANDS = {"train_supernet": "supernet"}  # of verbs that have another's name
_OPTIONS: dict[str, str] = {"origin": "from"}
_KNOWN = {name for own in vars(settings).values() for name in getattr(own, "model_fields", ())}


def spelled(message: str, options: Mapping[str, str]) -> str:
    """Return a message of the library as the command line says it.

    Args:
        message: names settings and calls of `Run` in backquotes.
        options: of the command that was given: by parameter, how it is spelt.
    """
    message = _CREATE.sub(r"`secateur run --out \1`", message)
    message = _CALL.sub(lambda call: f"`{_command(*call.groups())}`", message)
    return _SETTING.sub(lambda setting: _option(setting[1], options) or setting[0], message)


def _command(run: str, verb: str, arguments: str) -> str:
    found: list[tuple[str, str, str]] = _ARGUMENT.findall(arguments)
    given = [(name, text or plain) for name, text, plain in found]
    words = [f" --{_dashed(_OPTIONS.get(name, name))} {value}" for name, value in given]
    return f"secateur {_COMMANDS.get(verb, verb)} {run}{''.join(words)}"


def _option(name: str, options: Mapping[str, str]) -> str | None:
    """Return how a setting is spelt: as the command's own, or that of one of its groups; None if it is no setting."""
    own = [parameter for parameter in options if parameter == name or parameter.endswith(f"_{name}")]
    if own and name in _KNOWN:
        return options[min(own, key=len)]
    return f"--{_dashed(name)}" if name in _KNOWN else None


def _dashed(name: str) -> str:
    return name.replace("_", "-")
