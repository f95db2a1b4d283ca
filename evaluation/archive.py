"""Every evaluation of a run in one SQLite file."""

from __future__ import annotations

import json
import math
import sqlite3
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..search_space import SubnetMask
from .data_frame import data_frame
from .evaluation import Evaluation, canonical
from .pareto import hypervolume, is_front
from .weights import ONE_PER_MASK

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE masks (key TEXT PRIMARY KEY, mask BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE evaluations (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, x BLOB, space TEXT NOT NULL, method TEXT NOT NULL, seed INTEGER NOT NULL,
    split TEXT NOT NULL, seconds REAL, asked INTEGER NOT NULL, weights TEXT NOT NULL, recipe TEXT NOT NULL,
    UNIQUE (key, weights, split, method, seed, recipe)
);
CREATE TABLE objective_values (
    evaluation INTEGER NOT NULL, name TEXT NOT NULL, value REAL, PRIMARY KEY (evaluation, name)
) WITHOUT ROWID;
CREATE TABLE searcher_states (name TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID;
"""

Kinds = str | Collection[str]  # of weights: one, or several


class Archive:
    """All evaluations of a run. One process writes; others may read at the same time.

    Each :meth:`add` is one transaction: after a crash at any moment the file holds all additions that returned, and no
    half of another. The writer keeps SQLite's write lock from its first addition until it closes, so that a second
    search on the same run stops at once rather than mixing with the first.

    Raises:
        InputError: here and in every method: a file that is damaged, not ours, of another version, locked or read-only.

    Example:
        >>> with Archive("runs/sst2/archive.db") as archive:
        ...     archive.add(evaluations, searcher_state=("nsga2", searcher.state()))
        ...     archive.best("error", latency_ms=10.0)
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        # What was read, by the question, and the state of the file that it is true of: a page asks a dozen times.
        self._known: dict[tuple[str, ...], list[Evaluation]] = {}
        self._state: tuple[int, int] | None = None
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
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        tables = {name for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if version == 0 and not tables:
            self._db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        elif version != SCHEMA_VERSION or "evaluations" not in tables:
            raise InputError(
                f"{self.path} is of archive version {version}, this Secateur reads version {SCHEMA_VERSION}; open it "
                "with the Secateur that wrote it, or move it away and the search starts again"
            )
        elif (found := self._db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise self._damaged(" ".join(found.split()))

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
            try:
                if not self._db.in_transaction:
                    self._db.execute("BEGIN IMMEDIATE")
                for evaluation in evaluations:
                    self._insert(evaluation)
                if searcher_state is not None:
                    self._db.execute("INSERT OR REPLACE INTO searcher_states VALUES (?, ?)", searcher_state)
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            # Take the write lock for the next addition. A process that got in between keeps it; ours is told then.
            with suppress(sqlite3.OperationalError):
                self._db.execute("BEGIN IMMEDIATE")

    def _insert(self, evaluation: Evaluation) -> None:
        e = evaluation
        self._db.execute("INSERT OR IGNORE INTO masks VALUES (?, ?)", (e.key, _pack(e.mask.to_json())))
        x = None if e.x is None else _pack([int(value) for value in e.x])
        recipe = canonical(e.recipe)
        row = (e.key, x, e.space, e.method, int(e.seed), e.split, float(e.seconds), bool(e.asked), e.weights, recipe)
        cursor = self._db.execute(
            "INSERT INTO evaluations (key, x, space, method, seed, split, seconds, asked, weights, recipe) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            row,
        )
        if cursor.rowcount:
            values = [(cursor.lastrowid, name, _finite(value)) for name, value in e.values.items()]
            self._db.executemany("INSERT INTO objective_values VALUES (?, ?, ?)", values)
        elif e.asked:
            self._db.execute(
                "UPDATE evaluations SET asked = 1, x = coalesce(x, ?) "
                "WHERE key = ? AND weights = ? AND split = ? AND method = ? AND seed = ? AND recipe = ?",
                (x, e.key, e.weights, e.split, e.method, int(e.seed), recipe),
            )

    def searcher_state(self, name: str) -> bytes | None:
        """Return the state stored under that name with the last addition that carried one."""
        with self._explained():
            row = self._db.execute("SELECT state FROM searcher_states WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def evaluations(
        self, *, split: str | None = None, method: str | None = None, weights: Kinds | None = None
    ) -> list[Evaluation]:
        """Return all evaluations, or those of a split, a method or kinds of weights, in the order they were added."""
        return self._select({"split": split, "method": method, "weights": weights})

    def to_dataframe(self) -> pd.DataFrame:
        """Return all evaluations as a data frame, a row each, in the order they were added.

        Columns: `key`, `method`, `weights`, `split`, `seed`, `space`, `asked` and `seconds` as in :class:`Evaluation`;
        `density`, the share of the encoder's parameters that the mask keeps, 0 to 1; `layers`, those that keep
        anything; `hidden`; `heads_0`, `heads_1`, ... and `neurons_0`, ..., what each layer keeps; `recipe_NAME` for
        what a pruner was asked for; and each value by its own name, such as `error`, `macs` or `latency_ms` (with
        `_value` after it where a column of that name is there already: a pruner's `density` is that of its budget).
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
    ) -> list[Evaluation]:
        """Return the non-dominated evaluations, the best in the first objective first.

        Evaluations without a number for one of the objectives are left out, and those with other weights.
        """
        candidates = self.evaluations(split=split, weights=weights)
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

    def _select(self, conditions: Mapping[str, Kinds | None]) -> list[Evaluation]:
        lists = {name: [v] if isinstance(v, str) else list(v) for name, v in conditions.items() if v is not None}
        where = " AND ".join(f"{name} IN ({', '.join('?' * len(values))})" for name, values in lists.items()) or "1"
        given = [value for values in lists.values() for value in values]
        with self._explained():
            others = self._db.execute("PRAGMA data_version").fetchone()[0]  # what other connections have changed
            if self._state != (state := (others, self._db.total_changes)):
                self._state, self._known = state, {}
            if (question := (where, *given)) not in self._known:
                self._known[question] = self._read(where, given)
            return list(self._known[question])

    def _read(self, where: str, given: Sequence[str]) -> list[Evaluation]:
        self._db.execute("SAVEPOINT reading")  # both queries see the same additions
        try:
            rows = self._db.execute(
                "SELECT id, key, x, space, method, seed, split, seconds, asked, weights, recipe, mask "
                f"FROM evaluations JOIN masks USING (key) WHERE {where} ORDER BY id",
                given,
            ).fetchall()
            numbers = self._db.execute(
                f"SELECT id, name, value FROM objective_values JOIN evaluations ON id = evaluation WHERE {where}",
                given,
            ).fetchall()
        finally:
            self._db.execute("RELEASE reading")
        return _decoded(rows, numbers)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what SQLite says into a line that says what to do."""
        try:
            yield
        except sqlite3.ProgrammingError:
            raise  # a closed archive or a wrong thread: a mistake in the program, not in its input
        except (zlib.error, json.JSONDecodeError, KeyError) as error:
            raise self._damaged(str(error)) from error
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
                raise self._damaged(str(error)) from error
            raise InputError(f"cannot use the archive {self.path}: {what}") from error

    def _damaged(self, what: str) -> InputError:
        return InputError(
            f"the archive {self.path} is damaged or is no archive ({what}); move it away and the search starts again"
        )


def _decoded(rows: list[tuple[Any, ...]], numbers: list[tuple[int, str, float | None]]) -> list[Evaluation]:
    values: dict[int, dict[str, float]] = {row[0]: {} for row in rows}
    for identity, name, value in numbers:
        values[identity][name] = math.nan if value is None else value
    return [
        Evaluation(
            key=key,
            mask=_mask(packed),
            x=None if x is None else tuple(_unpack(x)),
            space=space,
            method=method,
            seed=seed,
            split=split,
            values=values[identity],
            seconds=math.nan if seconds is None else seconds,
            asked=bool(asked),
            weights=weights,
            recipe=json.loads(recipe),
        )
        for identity, key, x, space, method, seed, split, seconds, asked, weights, recipe, packed in rows
    ]


def _matrix(evaluations: Sequence[Evaluation], objectives: Sequence[str]) -> np.ndarray:
    """Return `(n, m)`, NaN where an evaluation lacks an objective."""
    rows = [[evaluation.values.get(name, math.nan) for name in objectives] for evaluation in evaluations]
    return np.array(rows, dtype=float).reshape(len(rows), len(objectives))


@lru_cache(4096)
def _mask(packed: bytes) -> SubnetMask:
    """Read a mask; a page or a table asks for the same ones a dozen times."""
    return SubnetMask.from_json(_unpack(packed))


def _pack(data: Any) -> bytes:
    return zlib.compress(json.dumps(data, separators=(",", ":")).encode())


def _unpack(blob: bytes) -> Any:
    return json.loads(zlib.decompress(blob))


def _finite(value: float) -> float | None:
    # SQLite has no NaN: it stores NULL.
    return float(value) if math.isfinite(value) else None
