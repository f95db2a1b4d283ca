"""The archive of a run, opened as that of its encoder; what is damaged in it, or gone, is said, the rest is used."""

from __future__ import annotations

from ..errors import InputError
from ..evaluation.archive import Archive
from .data_facts import data_facts
from .folder import RunFolder
from .telling import call_of

# Stages that begin with an archive.
_NUMBERED = {"search", "solved_search", "standard", "prune", "ladder", "refit", "recover"}


def archive_of(folder: RunFolder) -> Archive:
    """Open a run's archive, or make it, and say what is damaged in it.

    Raises:
        InputError: it cannot be read at all.
    """
    if (lost := lost_archive(folder)) is not None:
        folder.tell.say(f"warning: {lost}; put it back if that is not meant, another one is begun")
    archive = Archive(folder.archive, data_facts(folder).shape if "data" in folder.record else None)
    try:
        for damage in archive.damaged:
            folder.tell.say(f"warning: {folder.archive} is damaged and used without it: {damage}")
    except BaseException:
        archive.close()
        raise
    return archive


def check_archive(folder: RunFolder) -> None:
    """Check that a run has an archive.

    Raises:
        InputError: nothing has been found yet, or what was found is gone.
    """
    if lost_archive(folder) is not None or not folder.archive.exists():
        raise no_archive(folder)


def no_archive(folder: RunFolder) -> InputError:
    """Return the error that says that a run has no archive, or has it no more."""
    search = call_of(folder.path, "search")
    if (lost := lost_archive(folder)) is not None:
        return InputError(f"{lost}; put it back, or run {search} again")
    return InputError(f"{folder.path} has no archive yet; run {search} first")


def lost_archive(folder: RunFolder) -> str | None:
    """Say that the archive is gone; None if it is there or never was."""
    there = folder.archive.exists() and folder.archive.stat().st_size > 0  # SQLite begins anew in a file of nothing
    if there or not _NUMBERED & set(folder.record["stages"]):
        return None
    return f"{folder.archive} is {'empty' if folder.archive.exists() else 'gone'}, and with it what was found before"
