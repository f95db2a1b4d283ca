"""Every evaluation of a run in one SQLite file."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..search_space import EncoderShape
from . import archive_rows
from .archive_rows import Damaged, Numbers, Row, amounts, in_order, pack
from .data_frame import data_frame
from .evaluation import Evaluation, canonical
from .pareto import hypervolume, is_front
from .weights import ONE_PER_MASK

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 2  # 1 had no digests; it is read as it is, and gets them with the first addition
_SCHEMA = """
CREATE TABLE masks (key TEXT PRIMARY KEY, mask BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE evaluations (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, x BLOB, space TEXT NOT NULL, method TEXT NOT NULL, seed INTEGER NOT NULL,
    split TEXT NOT NULL, seconds REAL, asked INTEGER NOT NULL, weights TEXT NOT NULL, recipe TEXT NOT NULL,
    digest BLOB,
    UNIQUE (key, weights, split, method, seed, recipe)
);
CREATE TABLE objective_values (
    evaluation INTEGER NOT NULL, name TEXT NOT NULL, value REAL, PRIMARY KEY (evaluation, name)
) WITHOUT ROWID;
CREATE TABLE searcher_states (name TEXT PRIMARY KEY, state BLOB NOT NULL, digest BLOB) WITHOUT ROWID;
"""

_MIGRATION = """
ALTER TABLE evaluations ADD COLUMN digest BLOB;
ALTER TABLE searcher_states ADD COLUMN digest BLOB;
"""
_COLUMNS = ", ".join(Row._fields)
_SHOWN = 5  # damaged rows that are named one by one

Kinds = str | Collection[str]  # of weights: one, or several


class Archive:
    """All evaluations of a run. One process writes; others may read at the same time.

    Each :meth:`add` is one transaction: after a crash at any moment the file holds all additions that returned, and no
    half of another. The writer keeps SQLite's write lock from its first addition until it closes, so that a second
    search on the same run stops at once rather than mixing with the first.

    Each row has a digest, which is checked when it is read: one that has changed since, or that says nothing possible,
    is left out of all answers and named by :attr:`damaged`; the others are as they were.

    Args:
        path: the file, which is made if it is not there.
        shape: of the encoder that it is of: rows of another are damaged, as are those without an error. None takes all.

    Raises:
        InputError: here and in every method: a file that is damaged, not ours, of another version, locked or read-only.

    Example:
        >>> with Archive("runs/sst2/archive.db") as archive:
        ...     archive.add(evaluations, searcher_state=("nsga2", searcher.state()))
        ...     archive.best("error", latency_ms=10.0)
    """

    def __init__(self, path: str | Path, shape: EncoderShape | None = None) -> None:
        self.path = Path(path)
        self._shape = shape
        # What was read, and the state of the file that it is true of: a page asks a dozen times.
        self._state: tuple[int, int] | None = None
        self._read: list[Evaluation] = []
        self._damage: list[str] = []
        self._rows: dict[int, tuple[tuple[Any, ...], Evaluation | Damaged]] = {}  # by id: as stored, what it is
        self._structure: str | None = None
        with self._explained():
            # Transactions are ours (isolation_level None). A reader's short lock is waited for, a second writer is not.
            self._db = sqlite3.connect(self.path, timeout=5.0, isolation_level=None)
        try:
            with self._explained():
                self._open()
        except InputError:
            self._db.close()
            raise

    def _open(self) -> None:
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.text_factory = lambda text: text.decode(errors="replace")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        tables = {name for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if version == 0 and not tables:
            self._db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        elif not 1 <= version <= SCHEMA_VERSION:
            raise InputError(
                f"{self.path} is of archive version {version}, this Secateur reads version {SCHEMA_VERSION} and "
                "before; open it with the Secateur that wrote it, or move it away and the search starts again"
            )
        elif missing := {"masks", "evaluations", "objective_values", "searcher_states"} - tables:
            raise self._unusable(f"it has no table {min(missing)}")
        elif (found := self._db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            self._structure = " ".join(found.split())
            self._everything()  # what can be read in spite of that can be used

    @property
    def _has_digests(self) -> bool:
        """Another process may give them to an archive of version 1 meanwhile."""
        return any(column[1] == "digest" for column in self._db.execute("PRAGMA table_info(evaluations)"))

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and let another process write."""
        self._db.close()

    def __len__(self) -> int:
        with self._explained():
            return self._db.execute("SELECT count(*) FROM evaluations").fetchone()[0]

    def add(self, evaluations: Sequence[Evaluation], *, searcher_state: tuple[str, bytes] | None = None) -> None:
        """Store evaluations, and the state of the searcher that has been told of them, in one transaction.

        One with the key, weights, split, method, seed and recipe of an older one is ignored, except that it is then
        marked as asked if either is.

        Args:
            evaluations: any number.
            searcher_state: a name and `searcher.state()`; replaces the state of that name.
        """
        with self._explained():
            if self._structure is not None:
                raise self._unusable(self._structure)
            try:
                if not self._db.in_transaction:
                    self._db.execute("BEGIN IMMEDIATE")
                if not self._has_digests:
                    self._migrate()
                for evaluation in evaluations:
                    self._insert(evaluation)
                if searcher_state is not None:
                    row = (*searcher_state, archive_rows.state_digest(*searcher_state))
                    self._db.execute(
                        "INSERT OR REPLACE INTO searcher_states (name, state, digest) VALUES (?, ?, ?)", row
                    )
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            # Take the write lock for the next addition. A process that got in between keeps it; ours is told then.
            with suppress(sqlite3.OperationalError):
                self._db.execute("BEGIN IMMEDIATE")

    def _migrate(self) -> None:
        """Give an archive of version 1 the digests that its rows have now."""
        for statement in _MIGRATION.strip().splitlines():
            self._db.execute(statement)
        for (identity,) in self._db.execute("SELECT id FROM evaluations").fetchall():
            self._sign(identity)
        for name, state in self._db.execute("SELECT name, state FROM searcher_states").fetchall():
            self._db.execute(
                "UPDATE searcher_states SET digest = ? WHERE name = ?", (archive_rows.state_digest(name, state), name)
            )
        self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _insert(self, evaluation: Evaluation) -> None:
        e, packed = evaluation, pack(evaluation.mask.to_json())
        x = None if e.x is None else pack([int(value) for value in e.x])
        recipe = canonical(e.recipe)
        row = (e.key, x, e.space, e.method, int(e.seed), e.split, float(e.seconds), bool(e.asked), e.weights, recipe)
        self._db.execute("INSERT OR IGNORE INTO masks VALUES (?, ?)", (e.key, packed))
        there = self._db.execute(
            "SELECT id FROM evaluations WHERE key = ? AND weights = ? AND split = ? AND method = ? AND seed = ? "
            "AND recipe = ?",
            (e.key, e.weights, e.split, e.method, int(e.seed), recipe),
        ).fetchone()
        if there is not None and isinstance(self._stored(there[0]), Damaged):  # as it is now, it is what it was
            self._db.execute("UPDATE masks SET mask = ? WHERE key = ?", (packed, e.key))
            self._db.execute("DELETE FROM objective_values WHERE evaluation = ?", there)
            self._db.execute("DELETE FROM evaluations WHERE id = ?", there)
            there = None
        if there is None:
            cursor = self._db.execute(
                "INSERT INTO evaluations (key, x, space, method, seed, split, seconds, asked, weights, recipe) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            assert cursor.lastrowid is not None
            identity = cursor.lastrowid
            values = [(identity, name, value) for name, value in amounts(e.values)]
            self._db.executemany("INSERT INTO objective_values VALUES (?, ?, ?)", values)
        elif e.asked:
            (identity,) = there
            self._db.execute("UPDATE evaluations SET asked = 1, x = coalesce(x, ?) WHERE id = ?", (x, identity))
        else:
            return
        self._sign(identity)

    def _sign(self, identity: int) -> None:
        """Write the digest of a row as SQLite has it now."""
        row = Row(*self._db.execute(f"SELECT {_COLUMNS} FROM evaluations WHERE id = ?", (identity,)).fetchone())
        with suppress(Damaged):  # one of version 1, which is named whenever it is read
            digest = archive_rows.digest(row, self._numbers(identity))
            self._db.execute("UPDATE evaluations SET digest = ? WHERE id = ?", (digest, identity))

    def _numbers(self, identity: int) -> Numbers:
        sql = "SELECT name, value FROM objective_values WHERE evaluation = ?"
        return in_order(self._db.execute(sql, (identity,)).fetchall())

    def _stored(self, identity: int) -> Evaluation | Damaged:
        """Return what a row says now."""
        columns = f"{_COLUMNS}, digest, mask"
        sql = f"SELECT {columns} FROM evaluations LEFT JOIN masks USING (key) WHERE id = ?"
        *row, digest, mask = self._db.execute(sql, (identity,)).fetchone()
        return self._decoded(Row(*row), self._numbers(identity), mask, digest, signed=True)

    def searcher_state(self, name: str) -> bytes | None:
        """Return the state stored under that name with the last addition that carried one.

        Raises:
            InputError: also if the state has changed since, or that of a name that cannot be read any more.
        """
        with self._explained():
            signed = self._has_digests
            digest = "digest" if signed else "NULL"
            rows = self._db.execute(f"SELECT name, state, {digest} FROM searcher_states").fetchall()
        for stored, state, known in rows:
            if not isinstance(state, bytes) or (signed and known != archive_rows.state_digest(stored, state)):
                raise InputError(
                    f"the archive {self.path} is damaged in the state of the search {stored!r}; put back a copy of it, "
                    "or move it away and the search starts again"
                )
        return next((state for stored, state, _ in rows if stored == name), None)

    def evaluations(
        self, *, split: str | None = None, method: str | None = None, weights: Kinds | None = None
    ) -> list[Evaluation]:
        """Return all evaluations, or those of a split, a method or kinds of weights, in the order they were added."""
        return self._select({"split": split, "method": method, "weights": weights})

    def to_dataframe(self) -> pd.DataFrame:
        """Return all evaluations as a data frame, a row each, in the order they were added.

        Columns: `key`, `method`, `weights`, `split`, `seed`, `space`, `asked` and `seconds` as in :class:`Evaluation`;
        `density`, the share of the encoder's parameters that the mask keeps, 0 to 1; `layers`, those that keep
        anything; `hidden`; `tokens`, of a model that reads fewer; `heads_0`, `heads_1`, ... and `neurons_0`, ..., what
        each layer keeps; `recipe_NAME` for what a pruner was asked for; and each value by its own name, such as
        `error`, `macs` or `latency_ms` (with `_value` after it where a column of that name is there already: a pruner's
        `density` is that of its budget).
        What a row does not have is missing (NaN).

        Example:
            >>> frame = archive.to_dataframe()
            >>> frame[frame.split == "selection"].groupby("method")["error"].min()
        """
        return data_frame(self.evaluations())

    def lookup(
        self, key: str, split: str, *, method: str | None = None, weights: Kinds | None = None
    ) -> Evaluation | None:
        """Return the first evaluation of a subnetwork on a split, by any method and with any weights if None.

        Methods may disagree on the same mask: a pruner may have trained the weights that are left.
        """
        found = self._select({"key": key, "split": split, "method": method, "weights": weights})
        return found[0] if found else None

    def front(
        self,
        objectives: Sequence[str] = ("error", "parameters"),
        split: str = "selection",
        *,
        weights: Kinds = ONE_PER_MASK,
        all_tokens: bool = False,
    ) -> list[Evaluation]:
        """Return the non-dominated evaluations, the best in the first objective first.

        Evaluations without a number for one of the objectives are left out, those with other weights, and with
        `all_tokens` those that read fewer tokens than the run's tokenizer has.
        """
        candidates = self.evaluations(split=split, weights=weights)
        if all_tokens:
            candidates = [one for one in candidates if one.mask.tokens is None]
        values = _matrix(candidates, objectives)
        chosen = np.flatnonzero(is_front(values))
        return [candidates[i] for i in chosen[np.lexsort(values[chosen].T[::-1])]]

    def hypervolume(
        self, reference: Mapping[str, float], split: str = "selection", *, weights: Kinds = ONE_PER_MASK
    ) -> float:
        """Return the volume between the front and a reference point, objective name to value, in their own units."""
        evaluations = self.evaluations(split=split, weights=weights)
        return hypervolume(_matrix(evaluations, list(reference)), list(reference.values()))

    def best(
        self, objective: str, *, split: str = "selection", weights: Kinds = ONE_PER_MASK, **budgets: float
    ) -> Evaluation:
        """Return the evaluation with the lowest objective whose other values are within budgets.

        Raises:
            InputError: none is; the message names the nearest, the one whose largest relative excess is smallest.

        Example:
            >>> archive.best("error", latency_ms=10.0)
        """
        candidates = self.evaluations(split=split, weights=weights)
        values = _matrix(candidates, [objective, *budgets])
        usable = np.flatnonzero(~np.isnan(values).any(axis=1))
        if not len(usable):
            known = sorted({name for candidate in candidates for name in candidate.values})
            raise InputError(
                f"no evaluation on the {split} split has {' and '.join([objective, *budgets])}; "
                f"{len(candidates)} evaluations there have: {', '.join(known) or 'nothing'}"
            )
        candidates, values = [candidates[i] for i in usable], values[usable]
        limits = np.array(list(budgets.values()), dtype=float)
        within = np.flatnonzero((values[:, 1:] <= limits).all(axis=1))
        if len(within):
            order = np.lexsort(values[within].T[::-1])  # of equal objectives the one with the smaller first budget
            return candidates[within[order[0]]]
        excess = (values[:, 1:] - limits) / np.maximum(np.abs(limits), np.finfo(float).tiny)
        nearest = candidates[int(np.argmin(excess.max(axis=1)))]
        wanted = " and ".join(f"{name} <= {limit:g}" for name, limit in budgets.items())
        has = " and ".join(f"{name} {nearest.values[name]:.6g}" for name in budgets)
        raise InputError(f"no subnetwork within {wanted}; the nearest has {has} (key {nearest.key})")

    @property
    def damaged(self) -> list[str]:
        """What is damaged, a line each; nothing of it is in any answer."""
        self._everything()
        structure = [] if self._structure is None else [f"its structure, so rows may be missing ({self._structure})"]
        found = [*structure, *self._damage[:_SHOWN]]
        left = len(self._damage) - _SHOWN
        return [*found, f"{left} rows more"] if left > 0 else found

    def _select(self, conditions: Mapping[str, Kinds | None]) -> list[Evaluation]:
        given = {name: {v} if isinstance(v, str) else {*v} for name, v in conditions.items() if v is not None}
        return [one for one in self._everything() if all(getattr(one, name) in v for name, v in given.items())]

    def _everything(self) -> list[Evaluation]:
        """Return all rows that are not damaged; the file is read again once it has changed.

        Tables are read from end to end, never by an index: one that is damaged would leave rows out without a word.
        """
        with self._explained():
            others = self._db.execute("PRAGMA data_version").fetchone()[0]  # what other connections have changed
            if self._state != (state := (others, self._db.total_changes)):
                self._read, self._damage = self._all_rows()
                self._state = state
        return self._read

    def _all_rows(self) -> tuple[list[Evaluation], list[str]]:
        self._db.execute("SAVEPOINT reading")  # all queries see the same additions
        try:
            signed = self._has_digests
            digest = "digest" if signed else "NULL"
            rows = self._db.execute(f"SELECT {_COLUMNS}, {digest} FROM evaluations NOT INDEXED").fetchall()
            masks = dict(self._db.execute("SELECT key, mask FROM masks").fetchall())
            numbers: dict[int, list[tuple[str, float | None]]] = {row[0]: [] for row in rows}
            lost = 0
            for identity, name, value in self._db.execute("SELECT evaluation, name, value FROM objective_values"):
                if identity in numbers:
                    numbers[identity].append((name, value))
                else:
                    lost += 1
        finally:
            self._db.execute("RELEASE reading")
        read: list[Evaluation] = []
        damage = [f"{lost} values of rows that are not there"] if lost else []
        before, self._rows = self._rows, {}
        for *columns, known in rows:
            row = Row(*columns)
            made_of = (row, in_order(numbers[row.id]), masks.get(row.key), known)
            same = before.get(row.id)
            found = same[1] if same is not None and same[0] == made_of else self._decoded(*made_of, signed=signed)
            self._rows[row.id] = made_of, found
            if isinstance(found, Damaged):
                damage.append(f"row {row.id} ({row.key}, {row.method}, {row.split}): {found}")
            else:
                read.append(found)
        return read, damage

    def _decoded(
        self, row: Row, numbers: Numbers, mask: bytes | None, known: bytes | None, *, signed: bool
    ) -> Evaluation | Damaged:
        try:
            if known is None and signed:
                raise Damaged("it has no digest")
            return archive_rows.evaluation(row, numbers, mask, known, self._shape)
        except Damaged as damage:
            return damage

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what SQLite says into a line that says what to do."""
        try:
            yield
        except sqlite3.ProgrammingError:
            raise  # a closed archive or a wrong thread: a mistake in the program, not in its input
        except (UnicodeDecodeError, TypeError) as error:
            raise self._unusable(str(error)) from error
        except sqlite3.Error as error:
            # Python 3.11 gives extended codes; the low byte is the kind of error.
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                what = "another process writes it; wait until it has ended, or choose another run folder"
            elif code == sqlite3.SQLITE_FULL:
                what = "the disk is full; make room and start again, all earlier evaluations are kept"
            elif code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_IOERR):
                what = f"{error}; check that the folder exists and that it and the file may be written"
            else:
                raise self._unusable(str(error)) from error
            raise InputError(f"cannot use the archive {self.path}: {what}") from error

    def _unusable(self, what: str) -> InputError:
        return InputError(
            f"the archive {self.path} is damaged or is no archive ({what}); move it away and the search starts again"
        )


def _matrix(evaluations: Sequence[Evaluation], objectives: Sequence[str]) -> np.ndarray:
    """Return `(n, m)`, NaN where an evaluation lacks an objective."""
    rows = [[evaluation.values.get(name, math.nan) for name in objectives] for evaluation in evaluations]
    return np.array(rows, dtype=float).reshape(len(rows), len(objectives))
