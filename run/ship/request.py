"""State that a killed request leaves beside the folder it was to write; it is gone on with by that request alone."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...digests import digest_of, read_json, write_json
from ...errors import InputError
from ..basis import digest
from ..folder import RunFolder


@dataclass(frozen=True)
class Request:
    """What decides the model that is written to a folder, and the place of its state.

    Attributes:
        state: the folder of the state, which names the request that it is of.
        digest: the request's.
    """

    state: Path
    digest: str

    @classmethod
    def of(cls, folder: RunFolder, verb: str, to: Path, told: Mapping[str, Any]) -> Request:
        """Return a request.

        Args:
            folder: the run; its models belong to the request.
            verb: of the request.
            to: the folder that is to be written.
            told: all else that decides what is written, JSON-ready.
        """
        run = {"run": str(folder.path.absolute()), "facts": folder.record["facts"], "basis": folder.record.get("basis")}
        mine = digest_of([verb, run, digest(folder.finetuned), dict(told)])
        return cls(to.absolute().with_name(f".{to.name}.{verb}"), mine)

    @property
    def is_begun(self) -> bool:
        """An attempt of this request that was killed has left the state that is there."""
        try:
            return self._mark.is_file() and read_json(self._mark, "").get("request") == self.digest
        except (InputError, AttributeError):  # damaged, so nobody's
            return False

    def begin(self) -> None:
        """Take the folder: what another request has left there is removed."""
        if self.is_begun:
            return
        self._mark.unlink(missing_ok=True)  # first: half of what is removed is nobody's
        if self.state.exists():
            shutil.rmtree(self.state)
        write_json(self._mark, {"request": self.digest})

    @property
    def _mark(self) -> Path:
        return self.state / "request.json"
