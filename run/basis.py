"""What the numbers of an archive belong to: a supernet, a latency target, a precision."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..digests import change_in
from ..errors import InputError
from .folder import RunFolder, file_digest
from .settings.latency import LatencySettings

if TYPE_CHECKING:
    from ..evaluation.latency import LatencyTarget

INT8 = "int8"
"""The precision of errors that are those of models in int8, as their runtime answers."""


@dataclass(frozen=True)
class Basis:
    """What may stand in one archive; kept in run.json from when the first numbers enter it.

    Attributes:
        supernet: digest of its weights; None as long as only the fine-tuned model was pruned or searched.
        solved: digest of what solved weights are cut from; None until they are searched.
        target: name of the latency target.
        dtype: that errors are computed in: `float32`, `bfloat16` or `int8`, never `auto`, which two processors take
            otherwise.
        latency: the settings of that target, for those who give none.
    """

    supernet: str | None
    solved: str | None
    target: str
    dtype: str
    latency: LatencySettings = field(compare=False)

    @classmethod
    def of(cls, folder: RunFolder) -> Basis | None:
        """Return what the numbers of a run belong to; None if it has none."""
        stored: dict[str, Any] | None = folder.record.get("basis")
        if stored is None or not folder.archive.exists():
            return None
        latency = LatencySettings.model_validate(stored["latency"])
        return cls(stored["supernet"], stored.get("solved"), stored["target"], stored["dtype"], latency)

    @classmethod
    def join(cls, folder: RunFolder, target: LatencyTarget, precision: str = "auto") -> Basis:
        """Return what numbers that are about to enter a run's archive belong to, and write it down.

        Args:
            folder: the run, which is being written.
            target: how models are served.
            precision: of the errors; `auto`: the archive's, or else the fastest here.

        Raises:
            InputError: the archive's numbers belong to another supernet, target or precision.
        """
        before = cls.of(folder)
        names = LatencySettings.model_fields
        latency = LatencySettings.model_validate({k: v for k, v in target.model_dump().items() if k in names})
        dtype = before.dtype if before is not None and precision == "auto" else resolved(precision)
        check_served(dtype, target.runtime)
        basis = cls(digest(folder.supernet), digest(folder.solved), target.name, dtype, latency)
        if before is not None:
            supernet = _sound(folder, folder.supernet, basis.supernet, before.supernet)
            basis = replace(basis, supernet=supernet, solved=_sound(folder, folder.solved, basis.solved, before.solved))
            _check_same(folder, before, basis)
        if basis != before:
            folder.write_down("basis", asdict(basis) | {"latency": latency.model_dump(mode="json")})
        return basis


def digest(weights: Path) -> str | None:
    """Return a digest of the weights in a model's folder, products beside them included; None if there are none."""
    files = sorted(weights.glob("*.safetensors"))
    if len(files) < 2:
        return file_digest(files[0]) if files else None
    return hashlib.sha256("".join(map(file_digest, files)).encode()).hexdigest()


def _sound(folder: RunFolder, model: Path, now: str | None, before: str | None) -> str | None:
    """Return a digest of a model's weights: what it was before if they are gone or damaged since, which is said.

    What is not made of them goes on; who reads them is refused.
    """
    if now is None or before in (None, now):
        return now or before
    change = change_in(model)
    if change is None:  # it was made anew
        return now
    folder.tell.say(f"warning: {change}; what is not made of it goes on")
    return before


def check_served(precision: str, runtime: str) -> None:
    """Refuse errors in int8 of models that are not served so.

    Raises:
        InputError: such a runtime.
    """
    from ..evaluation.latency import RUNTIMES

    if precision == INT8 and not RUNTIMES[runtime].int8:
        served = ", ".join(name for name, one in RUNTIMES.items() if one.int8)
        raise InputError(
            f"errors in int8 are those of the program that serves the models, but these are for {runtime}; give one of "
            f"{served} as `runtime`, or another `precision`"
        )


def resolved(precision: str) -> str:
    """Return the name of the dtype that a precision means on this machine; int8 is the same on all."""
    if precision == INT8:
        return precision
    import torch  # here: who reads a basis needs none

    from ..supernet.precision import resolve_precision

    dtype = resolve_precision(precision, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    return str(dtype).removeprefix("torch.")


def _check_same(folder: RunFolder, before: Basis, basis: Basis) -> None:
    if before.supernet not in (None, basis.supernet):
        raise InputError(
            f"{folder.archive} holds evaluations of another supernet than {folder.supernet}; move the archive away, or "
            "restore that supernet"
        )
    if before.solved not in (None, basis.solved):
        raise InputError(
            f"{folder.archive} holds evaluations of other solved weights than those of {folder.solved}; move the "
            "archive away, or restore that folder"
        )
    if before.target != basis.target:
        raise InputError(
            f"the latencies in {folder.archive} are of {before.target}, these would be of {basis.target} (device, "
            "threads, batch size, sequence length, precision, runtime); leave those out to go on with the same, or "
            "move the archive away"
        )
    if before.dtype != basis.dtype:
        raise InputError(
            f"the errors in {folder.archive} were computed in {before.dtype}, these would be in {basis.dtype}; leave "
            "the precision out to go on with the same, or move the archive away"
        )
