"""Which files hold which split of local data: one file each, several, or a folder of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from ..errors import InputError
from .contents import ending_of
from .tables import find_files

Parts = dict[str, tuple[Path, ...]]  # the files of "train" and, where there are such, of "validation"

_NAMES = {"train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}
_PATTERN = re.compile(r"[*?\[]")
_BESIDE = ("dataset_dict.json", "dataset_info.json", "state.json")  # what `save_to_disk` of `datasets` writes, no rows


def find_parts(data: Path, endings: Collection[str]) -> Parts:
    """Return the files of local data.

    Args:
        data: a file; a pattern of files' names, `logs/2024-*.csv`; or a folder. In a folder the files of a split are
            `train.csv` (or .jsonl, ...), `train-00000-of-00002.parquet` and the like, or those in the folder `train`,
            as `save_to_disk` of `datasets` writes them, and `validation` may be called valid, val or dev, too. A folder
            in which nothing is called so holds parts of one table, all files of one type.
        endings: of files that can be read.

    Raises:
        InputError: no such file, or some of which nobody can say what they are.
    """
    if _PATTERN.search(data.name) and not data.exists():
        found = tuple(sorted(path for path in data.parent.glob(data.name) if path.is_file()))
        if not found:
            raise InputError(f"no file is called {data}; give the path of a file or a folder, or another pattern")
        return {"train": found}
    if not data.is_dir():
        return {"train": (data,)}
    splits = {split: _files_of(data, split, endings) for split in _NAMES}
    if splits["train"] and splits["validation"]:
        return {split: splits[split] for split in ("train", "validation")}
    if not any(splits.values()) and (files := _files_in(data, endings)):
        return {"train": files}
    missing = "validation" if splits["train"] else "train"
    find_files(data, (missing,), endings)  # raises
    raise AssertionError("unreachable: the file is not there")


def title_of(paths: tuple[Path, ...]) -> str:
    """Name files for people."""
    return f"the file {paths[0].name}" if len(paths) == 1 else f"the {len(paths)} files of {paths[0].parent.name}"


def report_origin(parts: Mapping[str, tuple[Path, ...]]) -> str:
    """Say where the report split of local data comes from."""
    if "validation" in parts:
        return title_of(parts["validation"])
    return f"a fifth of {title_of(parts['train'])}, drawn by the seed"


def _files_of(folder: Path, split: str, endings: Collection[str]) -> tuple[Path, ...]:
    """Return the files of a split in a folder, by any of its names; nothing if there are none."""
    found: dict[str, tuple[Path, ...]] = {}
    for name in _NAMES[split]:
        whole = [path for path in _readable(folder, endings) if _stem(path) == name]
        if len(whole) > 1:
            find_files(folder, (name,), endings)  # raises: two files, of which one is old
        pieces = [path for path in _readable(folder, endings) if re.fullmatch(rf"{name}[-_.]\d.*", _stem(path))]
        inside = _files_in(folder / name, endings) if (folder / name).is_dir() else ()
        for files in (tuple(whole), tuple(pieces), inside):
            if files:
                found[f"{name} {files[0].name}"] = files
    if len(found) > 1:
        names = ", ".join(str(files[0].relative_to(folder)) for files in found.values())
        raise InputError(f"{folder} holds {names}; keep one form of the {split} split")
    return next(iter(found.values()), ())


def _files_in(folder: Path, endings: Collection[str]) -> tuple[Path, ...]:
    """Return all files in a folder that can be read, which are of one type.

    Raises:
        InputError: they are of several.
    """
    found = _readable(folder, endings)
    types = sorted({ending_of(path) for path in found})
    if len(types) > 1:
        raise InputError(
            f"{folder} holds files of several types ({', '.join(types)}); keep those of one, or call two of them train "
            "and validation"
        )
    return tuple(found)


def _readable(folder: Path, endings: Collection[str]) -> list[Path]:
    files = (path for path in folder.iterdir() if path.is_file() and path.name not in _BESIDE)
    return sorted(path for path in files if ending_of(path) in endings and not path.name.startswith("."))


def _stem(path: Path) -> str:
    return path.name[: path.name.lower().index(ending_of(path))]
