"""The one exception that means "the user can mend this": the command line turns it into one line and exit code 2."""


class InputError(ValueError):
    """A value from outside that Secateur cannot work with.

    The message is one line and says what was expected, what came and what to do.
    """


def unknown_name(what: str, name: str, known: object) -> InputError:
    """Return the error for ``name`` missing from a registry, listing the names there are (``known``: any iterable)."""
    return InputError(f"unknown {what} {name!r}; known: {', '.join(sorted(map(str, known)))}")  # pyright: ignore[reportArgumentType]
