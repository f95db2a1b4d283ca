"""Published data sets, from the Hugging Face hub or from a folder of files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from .contents import with_packed
from .tables import READERS, Reader, Table, read_table


@dataclass(frozen=True)
class Published:
    """Where a data set is found.

    Attributes:
        title: what messages call it.
        hub: its name on the hub.
        config: which of several data sets of that name; None for the only one.
        folder: the folder of its files, inside the data folder or that folder itself.
        readers: what reads its files, by their ending.
    """

    title: str
    hub: str
    config: str | None
    folder: str
    readers: Mapping[str, Reader] = field(default_factory=lambda: READERS, compare=False)

    def tables(self, splits: Mapping[str, tuple[str, ...]], data: Path | None) -> dict[str, tuple[Table, object]]:
        """Return the table of each split, and what messages call it.

        Args:
            splits: of each the names its file may have, the first there is counts.
            data: a folder with a file for each split, `NAME.parquet` or of another type of its readers; None downloads
                them from the hub, once.

        Raises:
            InputError: a missing folder or file, or no network.
        """
        return self._from_hub(splits) if data is None else self._from_folder(splits, data)

    def _from_folder(self, splits: Mapping[str, tuple[str, ...]], data: Path) -> dict[str, tuple[Table, object]]:
        if not data.is_dir():
            raise InputError(
                f"the data folder {data} does not exist; {self.title} is read from {self.folder}/train.parquet in it"
            )
        folder = data / self.folder if (data / self.folder).is_dir() else data
        tables: dict[str, tuple[Table, object]] = {}
        for split, names in splits.items():
            paths = next(filter(None, (self._files(folder, name) for name in names)), [])
            if len(paths) > 1:
                raise InputError(f"{folder} holds {', '.join(path.name for path in paths)}; keep one of them")
            if not paths:
                held = ", ".join(sorted(item.name for item in folder.iterdir())) or "nothing"
                others = ", ".join(sorted(ending for ending in self.readers if ending != ".parquet"))
                raise InputError(
                    f"{folder} lacks {names[0]}.parquet, which {self.title} needs; the folder holds: {held} (a file "
                    f"may also end in {others}, or be packed by gzip)"
                )
            tables[split] = read_table(paths[0], self.readers), paths[0]
        return tables

    def _files(self, folder: Path, name: str) -> list[Path]:
        return [path for ending in with_packed(self.readers) if (path := folder / f"{name}{ending}").is_file()]

    def _from_hub(self, splits: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[Table, object]]:
        import datasets  # a second, and only the hub needs it
        import huggingface_hub

        advice = f"give a folder that holds {self.folder}/train.parquet with `data`, or go online once"
        # Without this question a missing network is found out after five retries, half a minute later.
        if not isinstance(huggingface_hub.try_to_load_from_cache(self.hub, "README.md", repo_type="dataset"), str):
            try:
                huggingface_hub.HfApi().dataset_info(self.hub, timeout=10)
            except Exception as error:  # httpx's errors share no base with OSError, and which httpx it is changes
                raise InputError(f"cannot reach the hub for {self.title} ({type(error).__name__}); {advice}") from None
        try:
            loaded: Any = datasets.load_dataset(self.hub, self.config)
        except Exception as error:  # a download that breaks off raises httpx's errors too
            reason = (str(error).splitlines() or [""])[0]
            raise InputError(
                f"cannot load {self.title} from the hub ({type(error).__name__}: {reason}); {advice}"
            ) from None
        called = self.hub if self.config is None else f"{self.hub} {self.config}"
        return {split: (loaded[split].to_dict(), f"{called}/{split}") for split in splits}
