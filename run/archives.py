"""The archive of a run, opened as that of its encoder; what is damaged in it is said, the rest is used."""

from __future__ import annotations

from ..evaluation.archive import Archive
from .data_facts import data_facts
from .folder import RunFolder


def archive_of(folder: RunFolder) -> Archive:
    """Open a run's archive, or make it, and say what is damaged in it.

    Raises:
        InputError: it cannot be read at all.
    """
    archive = Archive(folder.archive, data_facts(folder).shape if "data" in folder.record else None)
    try:
        for damage in archive.damaged:
            folder.tell.say(f"warning: {folder.archive} is damaged and used without it: {damage}")
    except BaseException:
        archive.close()
        raise
    return archive
