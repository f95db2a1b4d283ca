import math
import os
import signal
import sqlite3
import subprocess
import sys
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
        archive.add([evaluation(1)])
    with sqlite3.connect(path) as db:
        db.execute("UPDATE masks SET mask = x'00'")
    db.close()
    with Archive(path) as archive, pytest.raises(InputError, match="is damaged"):
        archive.evaluations()


def test_another_version(path):
    Archive(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(InputError, match="is of archive version 99, this Secateur reads version 1; open it with"):
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
