"""What the numbers of an archive belong to: a supernet, a latency target, a precision."""

from __future__ import annotations

from ..errors import InputError
from .folder import RunFolder
from .latency import searched_settings
from .settings import SearchSettings


def _check_same_basis(folder: RunFolder, settings: SearchSettings, basis: dict[str, str]) -> None:
    """Refuse to put numbers into an archive that cannot be compared with those it holds.

    Raises:
        InputError: the archive is of another supernet, another latency target or another precision.
    """
    stages = folder.record["stages"]
    before = stages.get("search")
    if before is None and "standard" in stages:
        before = {**basis, "target": stages["standard"]["target"], "settings": stages["standard"]["search"]}
    if before is None and "prune" in stages:
        before = {**basis, "target": stages["prune"]["target"], "settings": stages["prune"]}
    if before is None or not folder.archive.exists():
        return
    if before["supernet"] != basis["supernet"]:
        raise InputError(
            f"{folder.archive} holds evaluations of another supernet than {folder.supernet}; move the archive away, or "
            "restore that supernet"
        )
    if before["target"] != basis["target"]:
        raise InputError(
            f"the latencies in {folder.archive} are of {before['target']}, these would be of {basis['target']} "
            "(device, threads, batch size, sequence length, precision, runtime); search with those again, or move the "
            "archive away"
        )
    if before["settings"]["precision"] != settings.precision:
        raise InputError(
            f"the errors in {folder.archive} were computed with --search-precision {before['settings']['precision']}, "
            f"not {settings.precision}; search with that again, or move the archive away"
        )


def precision(folder: RunFolder, asked: str = "auto") -> str:
    """Return the precision that errors of a run are computed in, as settings name it: what was asked for if it is new.

    Raises:
        InputError: the archive's errors were computed in another than the one asked for.
    """
    settings = searched_settings(folder)
    before = folder.record["stages"].get("prune", {}).get("precision") if settings is None else settings.precision
    if before is None or asked in ("auto", before):
        return before or asked
    raise InputError(
        f"the errors in {folder.archive} were computed with --precision {before}, not {asked}; prune with that again, "
        "or move the archive away"
    )
