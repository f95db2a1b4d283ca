import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import zlib
from dataclasses import replace

import numpy as np
import pytest
from secateur.errors import InputError
from secateur.evaluation.archive import Archive
from secateur.evaluation.evaluation import Evaluation
from secateur.search_space import EncoderShape, Large, Small, SubnetMask

SHAPE = EncoderShape(num_layers=3, num_heads=4, head_size=8, hidden_size=32, intermediate_size=40)


def evaluation(neurons, values=None, **changes):
    mask = SubnetMask.from_counts(SHAPE, [1, 2, 0], [neurons, 0, 3])
    made = Evaluation(
        key=mask.key,
        mask=mask,
        x=(1, 2, neurons),
        space="small",
        method="nsga2",
        seed=3,
        split="selection",
        values={"error": 0.25, "parameters": 1000.0} if values is None else values,
        seconds=0.5,
        asked=True,
    )
    return replace(made, **changes)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "archive.db"


def test_all_fields_come_back_after_reopening(path):
    first = evaluation(1)
    second = evaluation(2, x=None, method="kcm", seed=4, split="report", asked=False, values={"error": 0.1})
    with Archive(path) as archive:
        assert len(archive) == 0
        archive.add([first, second], searcher_state=("nsga2", b"\x00state"))
        assert archive.evaluations() == [first, second]
    with Archive(path) as archive:
        assert len(archive) == 2
        assert archive.evaluations() == [first, second]
        assert archive.evaluations(split="report") == [second]
        assert archive.evaluations(method="nsga2") == [first]
        assert archive.evaluations(split="report", method="nsga2") == []
        assert archive.lookup(first.key, "selection") == first
        assert archive.lookup(first.key, "report") is None
        assert archive.lookup(first.key, "selection", method="kcm") is None
        assert archive.searcher_state("nsga2") == b"\x00state"
        assert archive.searcher_state("gp") is None
    assert os.listdir(path.parent) == ["archive.db"]  # one file per run


def test_the_same_mask_with_two_kinds_of_weights_is_two_models(path):
    cut = evaluation(1, {"error": 0.3, "parameters": 1000.0})
    own = evaluation(1, {"error": 0.1, "parameters": 1000.0}, weights="standard")
    small = evaluation(2, {"error": 0.4, "parameters": 500.0})
    with Archive(path) as archive:
        archive.add([cut, own, small])
        assert archive.evaluations() == [cut, own, small]
        assert archive.evaluations(weights="standard") == [own]
        assert archive.lookup(own.key, "selection") == cut
        assert archive.lookup(own.key, "selection", weights="standard") == own
        assert archive.lookup(small.key, "selection", weights="standard") is None
        assert archive.front() == [own, small]
        assert archive.front(weights="supernet") == [cut, small]
        assert archive.best("error") == own
        assert archive.best("error", weights="supernet") == cut
        reference = {"error": 0.5, "parameters": 1500}
        assert archive.hypervolume(reference) == pytest.approx(0.4 * 500 + 0.1 * 500)
        assert archive.hypervolume(reference, weights="supernet") == pytest.approx(0.2 * 500 + 0.1 * 500)
        archive.add([replace(own, values={"error": 0.9})])
        assert archive.evaluations() == [cut, own, small]


def test_what_a_pruner_was_asked_for_tells_its_models_apart(path):
    first = evaluation(1, {"error": 0.2, "nonzero": 0.5}, weights="native", method="deepcuts", recipe={"density": 0.5})
    others = [
        replace(first, recipe={"density": 0.4}),
        replace(first, seed=4),
        replace(first, method="kcm"),
        replace(first, weights="recovered"),
        replace(first, recipe={"density": 0.5, "texts": 9}),
    ]
    report = replace(first, split="report", recipe=dict(reversed(list(first.recipe.items()))))
    with Archive(path) as archive:
        archive.add([first, *others, first])
        archive.add([report])
        assert archive.evaluations(split="selection") == [first, *others]
        assert archive.evaluations(weights=("recovered", "finetuned")) == [others[3]]
    assert len({one.model for one in (first, *others)}) == 6
    assert report.model == first.model
    searched = evaluation(1)
    assert searched.model == replace(searched, method="front", seed=0, split="report").model


def test_models_that_no_search_made_are_on_no_front_unless_asked_for(path):
    searched = evaluation(1, {"error": 0.3, "parameters": 1000.0})
    pruned = evaluation(2, {"error": 0.1, "parameters": 500.0}, weights="finetuned", recipe={"density": 0.5})
    zeros = evaluation(3, {"error": 0.0, "nonzero": 0.1}, weights="native", recipe={"density": 0.1})
    with Archive(path) as archive:
        archive.add([searched, pruned, zeros])
        assert archive.front() == [searched]
        assert archive.best("error") == searched
        assert archive.hypervolume({"error": 0.5, "parameters": 2000}) == pytest.approx(0.2 * 1000)
        assert archive.front(weights="finetuned") == [pruned]
        assert archive.front(weights=("supernet", "finetuned")) == [pruned]
        assert archive.front(("error", "nonzero"), weights="native") == [zeros]
        assert archive.front(weights="native") == []


def test_numpy_numbers_and_failures(path):
    values = {"error": math.nan, "latency_ms": math.inf, "parameters": np.float32(0.5)}
    with Archive(path) as archive:
        archive.add([evaluation(1, values, x=tuple(np.array([1, 2])), seed=np.int64(3), asked=np.bool_(True))])
        (back,) = archive.evaluations()
    assert math.isnan(back.values["error"])
    assert math.isnan(back.values["latency_ms"])
    assert back.values["parameters"] == 0.5
    assert back.x == (1, 2)


def test_a_repeat_is_ignored_but_for_being_asked(path):
    first = evaluation(1, asked=False)
    with Archive(path) as archive:
        archive.add([first, evaluation(1, {"error": 0.9}, asked=False)])
        assert archive.evaluations() == [first]
        archive.add([replace(first, asked=True)])
        archive.add([replace(first, asked=False)])
        assert archive.evaluations() == [replace(first, asked=True)]
        archive.add([replace(first, seed=9), replace(first, method="gp"), replace(first, split="report")])
        assert len(archive) == 4


def test_the_key_is_the_masks(path):
    with pytest.raises(ValueError, match="key must be its mask's"):
        evaluation(1, key="abc")


def test_large_masks_stay_small(path):
    space = Large(EncoderShape(12, 12, 64, 768, 3072))
    rng = np.random.default_rng(0)
    with Archive(path) as archive:
        for x in space.sample(20, rng):
            mask = space.mask(x)
            base = replace(evaluation(1), key=mask.key, mask=mask, x=tuple(x))
            archive.add([base, replace(base, split="report", x=None)])
            assert archive.lookup(mask.key, "selection") == base
    assert path.stat().st_size < 20 * 20_000  # 37,008 random bits are 4.6 kB, as JSON numbers 111 kB


def test_front_and_hypervolume(path):
    points = [(0.1, 900), (0.3, 300), (0.3, 300), (0.2, 950), (math.nan, 1), (0.5, 100)]
    with Archive(path) as archive:
        archive.add([evaluation(i, {"error": e, "parameters": p}) for i, (e, p) in enumerate(points)])
        archive.add([evaluation(9, {"error": 0.0, "parameters": 0.0}, split="report"), evaluation(10, {"error": 0.0})])
        assert [e.x[2] for e in archive.front()] == [0, 1, 5]
        assert [e.x[2] for e in archive.front(["error"])] == [10]
        assert archive.hypervolume({"error": 0.5, "parameters": 1000}) == pytest.approx(0.4 * 100 + 0.2 * 600)
        assert archive.hypervolume({"parameters": 2, "error": 1}, split="report") == 2


def test_best_within_budgets(path):
    with Archive(path) as archive:
        with pytest.raises(InputError, match="no evaluation on the selection split has error; 0 evaluations there"):
            archive.best("error")
        rows = [(0.10, 9.0, 100.0), (0.20, 4.0, 90.0), (0.20, 3.41, 95.0), (math.nan, 1.0, 1.0)]
        names = ("error", "latency_ms", "parameters")
        archive.add([evaluation(i, dict(zip(names, row, strict=True))) for i, row in enumerate(rows)])
        assert archive.best("error").x[2] == 0
        assert archive.best("error", latency_ms=10.0).x[2] == 0
        assert archive.best("error", latency_ms=5.0).x[2] == 2
        assert archive.best("error", latency_ms=5.0, parameters=90.0).x[2] == 1
        nearest = archive.evaluations()[2].key
        with pytest.raises(InputError) as error:
            archive.best("error", latency_ms=2.0)
        assert (
            str(error.value) == f"no subnetwork within latency_ms <= 2; the nearest has latency_ms 3.41 (key {nearest})"
        )
        with pytest.raises(
            InputError, match=r"latency_ms <= 3 and parameters <= 80; the nearest has latency_ms 3.41 and"
        ):
            archive.best("error", latency_ms=3.0, parameters=80.0)
        with pytest.raises(
            InputError, match="has error and macs; 4 evaluations there have: error, latency_ms, parameters"
        ):
            archive.best("error", macs=1.0)


WRITER = """
import sys
from secateur.evaluation.archive import Archive
from secateur.evaluation.evaluation import Evaluation
from secateur.search_space import EncoderShape, Small
space = Small(EncoderShape(num_layers=3, num_heads=4, head_size=8, hidden_size=32, intermediate_size=40))
archive = Archive(sys.argv[1])
for i in range(1, 41):
    pair = []
    for layers in (1, 2):
        mask = space.mask([layers, 1, i])
        point = (layers, 1, i)
        pair.append(Evaluation(mask.key, mask, point, "small", "random", 0, "selection", {"error": i}, 0.0, True))
    archive.add(pair, searcher_state=("random", str(i).encode()))
    print(i, flush=True)
print("end", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("after", [1, 7, 30])
def test_kill_loses_at_most_the_addition_under_way(path, after):
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    ) as process:
        for _ in range(after):
            reported = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        process.wait()
        rest = [line for line in process.stdout.read().split() if line != b"end"]
    reported = int(rest[-1]) if rest else reported
    with Archive(path) as archive:
        found = archive.evaluations()
        kept = len(found) // 2
        assert len(found) == 2 * kept  # no half additions
        assert kept in (reported, reported + 1)
        assert archive.searcher_state("random") == str(kept).encode()
        assert found[-1].mask == Small(SHAPE).mask(np.array(found[-1].x))
        archive.add([evaluation(30)])  # the dead writer's lock is gone


def test_a_second_writer_is_told_and_a_reader_is_not_disturbed(path):
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    ) as process:
        while process.stdout.readline().strip() != b"end":
            pass
        with Archive(path) as archive:
            archive._db.execute("PRAGMA busy_timeout = 50")
            assert len(archive.evaluations()) == 80
            with pytest.raises(InputError, match=r"archive.db: another process writes it; wait until it has ended"):
                archive.add([evaluation(30)])
            assert len(archive) == 80
        process.communicate()
    with Archive(path) as archive:
        archive.add([evaluation(30)])
        assert len(archive) == 81


def test_what_was_read_before_is_read_anew_after_an_addition(path):
    with Archive(path) as writer, Archive(path) as reader:
        for count in (1, 2, 3):
            writer.add([evaluation(count)])
            assert len(writer.evaluations()) == len(reader.evaluations(split="selection")) == count
        reader.evaluations().clear()  # the caller's own list
        assert len(reader.evaluations()) == 3


def test_a_damaged_file(path):
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(
        InputError, match=r"archive.db is damaged or is no archive \(file is not a database\); move it away"
    ):
        Archive(path)


def test_a_damaged_page(path):
    with Archive(path) as archive:
        archive.add([evaluation(i) for i in range(40)])
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"is damaged or is no archive .*move it away and the search starts again"):
        Archive(path)


def test_a_damaged_mask(path):
    with Archive(path) as archive:
        archive.add([evaluation(1), evaluation(2)])
    with sqlite3.connect(path) as db:
        db.execute("UPDATE masks SET mask = x'00' WHERE key = ?", (evaluation(1).key,))
    db.close()
    with Archive(path) as archive:
        assert archive.evaluations() == [evaluation(2)]
        (damage,) = archive.damaged
        assert damage.startswith(
            f"row 1 ({evaluation(1).key}, nsga2, selection): a mask or a point that is too large or cut short"
        )
        archive.add([evaluation(1)])  # evaluated again
        assert archive.evaluations() == [evaluation(2), evaluation(1)]
        assert not archive.damaged


CHANGES = {
    "a number": "UPDATE objective_values SET value = value + 1e-12 WHERE evaluation = 1 AND name = 'error'",
    "a number that is gone": "DELETE FROM objective_values WHERE evaluation = 1 AND name = 'error'",
    "a number more": "INSERT INTO objective_values VALUES (1, 'macs', 3.0)",
    "a name": "UPDATE objective_values SET name = 'errar' WHERE evaluation = 1 AND name = 'error'",
    "a text for a number": "UPDATE objective_values SET value = 'low' WHERE evaluation = 1 AND name = 'error'",
    "the method": "UPDATE evaluations SET method = 'nsga3' WHERE id = 1",
    "the seed": "UPDATE evaluations SET seed = 4 WHERE id = 1",
    "the split": "UPDATE evaluations SET split = 'report' WHERE id = 1",
    "the seconds": "UPDATE evaluations SET seconds = NULL WHERE id = 1",
    "who asked": "UPDATE evaluations SET asked = 0 WHERE id = 1",
    "the point": "UPDATE evaluations SET x = NULL WHERE id = 1",
    "the weights": "UPDATE evaluations SET weights = 'solved' WHERE id = 1",
    "unknown weights": "UPDATE evaluations SET weights = 'none' WHERE id = 1",
    "the recipe": "UPDATE evaluations SET recipe = '{\"density\":0.5}' WHERE id = 1",
    "the key": "UPDATE evaluations SET key = (SELECT key FROM evaluations WHERE id = 2) WHERE id = 1",
    "a key of nothing": "UPDATE evaluations SET key = 'nothing' WHERE id = 1",
    "the digest": "UPDATE evaluations SET digest = NULL WHERE id = 1",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_row_is_named_and_the_others_are_usable(path, change):
    with Archive(path) as archive:
        archive.add([evaluation(1), evaluation(2, method="kcm")])
    with sqlite3.connect(path) as db:
        assert db.execute(CHANGES[change]).rowcount == 1
    db.close()
    with Archive(path) as archive:
        assert archive.evaluations() == [evaluation(2, method="kcm")]
        (damage,) = archive.damaged
        assert damage.startswith("row 1 (")


def test_values_of_a_lost_row_are_named(path):
    with Archive(path) as archive:
        archive.add([evaluation(1), evaluation(2)])
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM evaluations WHERE id = 1")
    db.close()
    with Archive(path) as archive:
        assert archive.evaluations() == [evaluation(2)]
        assert archive.damaged == ["2 values of rows that are not there"]


@pytest.mark.parametrize("change", ["SET state = x'01'", "SET name = 'nsga3'"])
def test_a_changed_state_is_named(path, change):
    with Archive(path) as archive:
        archive.add([evaluation(1)], searcher_state=("nsga2", b"state"))
    with sqlite3.connect(path) as db:
        db.execute(f"UPDATE searcher_states {change}")
    db.close()
    with Archive(path) as archive:
        with pytest.raises(InputError, match=r"damaged in the state of the search 'nsga[23]'; put back a copy of it"):
            archive.searcher_state("nsga2")
        assert archive.evaluations() == [evaluation(1)]


def as_version_1(path):
    """Make an archive what the version before wrote."""
    with sqlite3.connect(path) as db:
        db.execute("ALTER TABLE evaluations DROP COLUMN digest")
        db.execute("ALTER TABLE searcher_states DROP COLUMN digest")
        db.execute("PRAGMA user_version = 1")
    db.close()


def test_an_archive_without_digests_is_read_and_gets_them_when_it_is_written(path):
    with Archive(path) as archive:
        archive.add([evaluation(1)], searcher_state=("nsga2", b"state"))
    as_version_1(path)
    with Archive(path) as archive:
        assert archive.evaluations() == [evaluation(1)]
        assert archive.searcher_state("nsga2") == b"state"
        assert not archive.damaged
    assert sqlite3.connect(path).execute("PRAGMA user_version").fetchone() == (1,)
    with Archive(path) as archive:
        archive.add([evaluation(2)])
        assert archive.evaluations() == [evaluation(1), evaluation(2)]
        assert archive.searcher_state("nsga2") == b"state"
    with sqlite3.connect(path) as db:
        db.execute("UPDATE evaluations SET seed = 9 WHERE id = 1")
    db.close()
    with Archive(path) as archive:
        assert archive.evaluations() == [evaluation(2)]


def test_an_index_that_is_damaged_hides_nothing(path):
    """Nothing is looked up by it, so a row is found whatever it says."""
    rows = [evaluation(i) for i in range(1, 30)]
    with Archive(path) as archive:
        archive.add(rows)
    content = bytearray(path.read_bytes())
    with sqlite3.connect(path) as db:
        size = db.execute("PRAGMA page_size").fetchone()[0]
        sql = "SELECT rootpage FROM sqlite_master WHERE type = 'index' AND tbl_name = 'evaluations'"
        page = db.execute(sql).fetchone()[0]
    db.close()
    at = content.index(rows[3].key.encode(), (page - 1) * size, page * size)
    content[at] ^= 1
    path.write_bytes(content)
    with Archive(path) as archive:
        assert archive.evaluations() == rows
        assert archive.lookup(rows[3].key, "selection") == rows[3]


def test_every_flipped_bit_is_seen_or_changes_nothing(path):
    rows = [evaluation(i, method="kcm" if i % 2 else "nsga2") for i in range(1, 6)]
    with Archive(path) as archive:
        archive.add(rows, searcher_state=("nsga2", b"state"))
    content = path.read_bytes()
    draw, outcomes = np.random.default_rng(0), {"refused": 0, "named": 0, "as it was": 0}
    for place in draw.integers(len(content) * 8, size=400):
        changed = bytearray(content)
        changed[place // 8] ^= 1 << (place % 8)
        path.write_bytes(changed)
        try:
            with Archive(path) as archive:
                found, damage, state = archive.evaluations(), archive.damaged, archive.searcher_state("nsga2")
        except InputError:
            outcomes["refused"] += 1
            continue
        assert all(one in rows for one in found)
        assert state == b"state"
        assert damage or found == rows
        outcomes["named" if damage else "as it was"] += 1
    assert outcomes["named"] > 5
    assert outcomes["as it was"] > 100  # most of a small file is empty pages


def crafted(path, sql, *values):
    """Write into an archive what Secateur would not, and with a digest that says nothing of it."""
    with Archive(path) as archive:
        archive.add([evaluation(1), evaluation(2)])
    as_version_1(path)
    with sqlite3.connect(path) as db:
        db.execute(sql, values)
    db.close()


BOMB = zlib.compress(bytes(2**28), 9)
WIDE = zlib.compress(json.dumps({**evaluation(1).mask.to_json(), "num_heads": 10**12}).encode())
OTHER = zlib.compress(json.dumps(SubnetMask.full(EncoderShape(2, 2, 8, 16, 8)).to_json()).encode())
CRAFTED = {
    "a mask that unpacks to all of the memory": ("UPDATE masks SET mask = ? WHERE key = ?", BOMB),
    "a mask of a million million heads": ("UPDATE masks SET mask = ? WHERE key = ?", WIDE),
    "another mask": ("UPDATE masks SET mask = ? WHERE key = ?", OTHER),
    "a text for a mask": ("UPDATE masks SET mask = ? WHERE key = ?", "mask"),
    "a mask of a list": ("UPDATE masks SET mask = ? WHERE key = ?", zlib.compress(b"[1, 2]")),
    "a deep mask": ("UPDATE masks SET mask = ? WHERE key = ?", zlib.compress(b"[" * 100_000)),
    "a recipe of a list": ("UPDATE evaluations SET recipe = ? WHERE key = ?", "[1]"),
    "a recipe of a list within": ("UPDATE evaluations SET recipe = ? WHERE key = ?", '{"density": [0.5]}'),
    "a recipe without numbers": ("UPDATE evaluations SET recipe = ? WHERE key = ?", '{"density": "half"}'),
    "a point of texts": ("UPDATE evaluations SET x = ? WHERE key = ?", zlib.compress(b'["1"]')),
    "a point that is no list": ("UPDATE evaluations SET x = ? WHERE key = ?", zlib.compress(b"7")),
    "a seed that is none": ("UPDATE evaluations SET seed = ? WHERE key = ?", "first"),
    "weights that are none": ("UPDATE evaluations SET weights = ? WHERE key = ?", "borrowed"),
    "a split of bytes": ("UPDATE evaluations SET split = ? WHERE key = ?", b"\xff"),
    "infinite seconds": ("UPDATE evaluations SET seconds = ? WHERE key = ?", math.inf),
}


@pytest.mark.parametrize("change", CRAFTED)
def test_a_crafted_row_is_named(path, change):
    sql, value = CRAFTED[change]
    crafted(path, sql, value, evaluation(1).key)
    with Archive(path) as archive:
        assert archive.evaluations() == [evaluation(2)]
        assert len(archive.damaged) == 1


def test_rows_that_a_run_cannot_use_are_named(path):
    """Of another encoder, or without an error."""
    whole = {"error": 0.1, "encoder_parameters": 7.0}
    with Archive(path) as archive:
        archive.add([evaluation(1, whole), evaluation(2), evaluation(3, {"macs": 1.0})])
    with Archive(path, SHAPE) as archive:
        assert archive.evaluations() == [evaluation(1, whole)]
        assert [line.partition(": ")[2] for line in archive.damaged] == [
            "it has no encoder_parameters",
            "it has no error",
        ]
    with Archive(path, replace(SHAPE, num_layers=4)) as archive:
        assert not archive.evaluations()
        assert archive.damaged[0].endswith("its mask is one of another encoder")


@pytest.mark.parametrize("table", ["masks", "objective_values", "searcher_states", "evaluations"])
def test_a_table_that_is_missing(path, table):
    with Archive(path) as archive:
        archive.add([evaluation(1)])
    with sqlite3.connect(path) as db:
        db.execute(f"DROP TABLE {table}")
    db.close()
    with pytest.raises(InputError, match=rf"is no archive \(it has no table {table}\); move it away"):
        Archive(path)


@pytest.mark.parametrize(("table", "column"), [("evaluations", "seconds"), ("objective_values", "value")])
def test_a_column_that_is_missing(path, table, column):
    with Archive(path) as archive:
        archive.add([evaluation(1)])
    with sqlite3.connect(path) as db:
        db.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    db.close()
    with pytest.raises(InputError, match="is no archive"), Archive(path) as archive:
        archive.evaluations()


def test_another_version(path):
    Archive(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(InputError, match="is of archive version 99, this Secateur reads version 2 and before; open it"):
        Archive(path)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="unable to open database file; check that the folder exists"):
        Archive(tmp_path / "no" / "archive.db")


def test_a_full_disk_keeps_what_is_there(path):
    with Archive(path) as archive:
        archive.add([evaluation(1)], searcher_state=("random", b"first"))
        pages = archive._db.execute("PRAGMA page_count").fetchone()[0]
        archive._db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(
            InputError, match="the disk is full; make room and start again, all earlier evaluations are"
        ):
            archive.add([evaluation(2)], searcher_state=("random", bytes(np.random.default_rng(0).bytes(50_000))))
        assert archive.evaluations() == [evaluation(1)]
        archive._db.execute("PRAGMA max_page_count = 1000000")
        archive.add([evaluation(2)])
    with Archive(path) as archive:
        assert archive.evaluations() == [evaluation(1), evaluation(2)]
        assert archive.searcher_state("random") == b"first"


def test_a_read_only_archive_can_be_read(path):
    with Archive(path) as archive:
        archive.add([evaluation(1)])
    with Archive(path) as archive:
        archive._db.execute("PRAGMA query_only = ON")
        assert len(archive.evaluations()) == 1
        with pytest.raises(InputError, match=r"attempt to write a readonly database; check that"):
            archive.add([evaluation(2)])


def test_all_evaluations_as_a_data_frame(path):
    zeros = {"error": 0.3, "density": 0.4, "nonzero": 0.4}
    rows = [
        evaluation(10, {"error": 0.25, "macs": 7.0}),
        evaluation(20, {"error": math.nan}, split="report", asked=False),
        evaluation(30, zeros, weights="native", method="deepcuts", x=None, recipe={"density": 0.5, "cost": "nonzero"}),
    ]
    with Archive(path) as archive:
        assert archive.to_dataframe().empty
        archive.add(rows)
        frame = archive.to_dataframe()
    assert list(frame.key) == [one.key for one in rows]
    assert list(frame.columns) == [
        *("key", "method", "weights", "split", "seed", "space", "asked", "seconds", "density", "layers", "hidden"),
        *("heads_0", "heads_1", "heads_2", "neurons_0", "neurons_1", "neurons_2"),
        *("error", "macs", "recipe_cost", "recipe_density", "density_value", "nonzero"),
    ]
    assert list(frame.split) == ["selection", "report", "selection"]
    assert list(frame.asked) == [True, False, True]
    assert frame[["heads_0", "heads_1", "heads_2", "neurons_0", "neurons_1", "neurons_2"]].values.tolist() == [
        [1, 2, 0, 10, 0, 3],
        [1, 2, 0, 20, 0, 3],
        [1, 2, 0, 30, 0, 3],
    ]
    assert list(frame.layers) == [3, 3, 3]
    # A head of 8 of a width of 32: three maps in with biases, one out; two blocks' output biases and norms.
    first = 3 * (32 * 8 + 8) + 8 * 32 + 3 * 32 + (10 * 32 * 2 + 10 + 3 * 32)
    second = 3 * (32 * 16 + 16) + 16 * 32 + 3 * 32
    third = 3 * 32 * 2 + 3 + 3 * 32
    whole = 3 * (4 * 32 * 32 + 3 * 32 + 3 * 32 + 40 * 32 * 2 + 40 + 3 * 32)
    assert frame.density[0] == pytest.approx((first + second + third) / whole)
    assert frame.error.isna().tolist() == [False, True, False]
    assert frame.recipe_density.isna().tolist() == [True, True, False]
    assert frame.recipe_density[2] == 0.5
    assert frame.density_value[2] == 0.4
    assert frame.macs[0] == 7.0
