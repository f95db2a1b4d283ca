"""Files as bytes and as text: unpacked, and in UTF-8 or refused by the name of what they are in."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Collection
from pathlib import Path

from ..errors import InputError

PACKED = ".gz"
_MARKS = {  # the bytes that a file in another encoding begins with; UTF-32's begin with UTF-16's, so they come first
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_LOOKED_AT = 4096  # bytes in which text without a mark shows that each character takes two of them


def ending_of(path: Path) -> str:
    """Return what says of which type a file is: `.csv` of `train.csv` and of `train.csv.gz`; in lower case."""
    unpacked = path.with_suffix("") if path.suffix.lower() == PACKED else path
    return unpacked.suffix.lower()


def with_packed(endings: Collection[str]) -> list[str]:
    """Return endings, and each with that of a packed file."""
    return [*endings, *(f"{ending}{PACKED}" for ending in endings)]


def read_bytes(path: Path) -> bytes:
    """Return what a file holds, unpacked if its name ends in `.gz`.

    Raises:
        InputError: it is packed, but damaged.
        OSError: it cannot be read.
    """
    content = path.read_bytes()
    if path.suffix.lower() != PACKED:
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be unpacked ({error}); pack it again with gzip") from None


def read_text(path: Path) -> str:
    """Return the text of a file in UTF-8, without the byte-order mark that spreadsheet programs put first.

    Line ends stay as they are.

    Raises:
        InputError: another encoding, which is named, with the first line that shows it; or a damaged packed file.
        OSError: it cannot be read.
    """
    content = read_bytes(path)
    named = next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)
    if named is None and b"\x00" in content[:_LOOKED_AT]:
        named = "UTF-16 without a byte-order mark, or no text"
    if named is not None:
        raise InputError(f"{path} is in {named}; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # Of a file with a mark, the position is counted behind it.
        marked = 3 if content.startswith(b"\xef\xbb\xbf") else 0
        line = content.count(b"\n", 0, error.start + marked) + 1
        byte = content[error.start + marked]
        raise InputError(
            f"line {line} of {path} is not in UTF-8: it has the byte 0x{byte:02x}, which in Latin-1 (or Windows-1252) "
            f"is {bytes([byte]).decode('cp1252', 'replace')!r}; save the file as UTF-8"
        ) from None
