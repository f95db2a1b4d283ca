"""What the report collects from a run, and the front in a terminal."""

import io
import json
import re
import shlex

import pytest
from rich.console import Console
from secateur.cli.terminal import draw
from secateur.evaluation.archive import Archive
from secateur.evaluation.evaluation import Evaluation
from secateur.run.choice.front import Cloud, front_clouds
from secateur.run.folder import RunFolder
from secateur.run.report.growth import Box, growth
from secateur.run.report.report import report_facts
from secateur.search_space import EncoderShape, SubnetMask

from .conftest import message_of

SHAPE = EncoderShape(num_layers=1, num_heads=2, head_size=2, hidden_size=4, intermediate_size=9)


@pytest.fixture(scope="module")
def facts(finished):
    folder = RunFolder.open(finished)
    with Archive(folder.archive) as archive:
        return report_facts(folder, archive), archive.path


def test_the_report_can_be_made_again(copied, call):
    for name in ("report.html", "front.png"):
        (copied / name).unlink()
    result = call("report", copied)
    assert result.code == 0
    assert result.out == f"page: {copied / 'report.html'}, picture: {copied / 'front.png'}\n"
    assert (copied / "front.png").read_bytes().startswith(b"\x89PNG")
    text = (copied / "report.html").read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="facts">(.*?)</script>', text, re.DOTALL)
    assert {point["layer"] for point in json.loads(found[1])["points"]} == {"none"}


def test_nothing_to_report(tmp_path, inputs, call):
    out = tmp_path / "run"
    assert call("finetune", *inputs.project(out), "--finetune-epochs", "0.1").code == 0
    assert message_of(call("report", out)).endswith(f"run `secateur search {out}` first")
    Archive(out / "archive.db").close()
    expected = f"{out / 'archive.db'} has no score of the whole network yet; run `secateur search` again"
    assert message_of(call("report", out)) == expected


def test_the_commands_of_the_page_extract_those_models(facts, copied, call, tmp_path):
    made, _ = facts
    for i, point in enumerate(made.front[:2]):
        assert call("extract", copied, *shlex.split(point.model.options), "--to", tmp_path / str(i)).code == 0
        assert point.model.key in (tmp_path / str(i) / "README.md").read_text()


def test_the_report_has_all_evaluations_and_their_numbers(facts):
    made, path = facts
    with Archive(path) as archive:
        selection = {one.key: one for one in archive.evaluations(split="selection")}
        report = {one.key: one for one in archive.evaluations(split="report")}
        front = {one.key for cost in ("encoder_parameters", "latency_ms") for one in archive.front(("error", cost))}
    assert {point.model.key for point in made.points} == set(selection)
    assert front <= {point.model.key for point in made.front} <= set(report)
    for point in made.points:
        model, one = point.model, selection[point.model.key]
        assert (model.error_selection, model.latency_predicted_ms) == (one.values["error"], one.values["latency_ms"])
        assert point.kept == one.values["encoder_parameters"] / made.full.model.encoder_parameters
        assert model.error_report == (report[model.key].values["error"] if model.key in report else None)
        if model.key in report:
            assert model.latency_low_ms <= model.latency_ms <= model.latency_high_ms
    assert (made.full.kept, made.full.layer, made.layers) == (1.0, "none", {"none": "no recovery"})
    assert made.comparison is None  # one method: nothing to compare


def row(neurons, error, *, asked=True, method="random"):
    mask = SubnetMask.from_counts(SHAPE, [2], [neurons])
    values = {"error": error, "encoder_parameters": float(neurons)}
    return Evaluation(mask.key, mask, None, "small", method, 0, "selection", values, 1.0, asked)


def test_the_hypervolume_grows_as_by_hand():
    rows = [
        row(8, 0.8),
        row(9, 0.9),  # adds nothing
        row(5, 0.5, asked=False),  # came with the one before
        row(6, 0.6),  # adds nothing, is not said
        row(2, 0.7),
        row(4, 0.9, method="gp"),
    ]
    one, other = growth(rows, Box((0.0, 0.0), (1.0, 10.0)))
    assert (one.method, one.evaluations) == ("nas (random)", (1, 2, 4))
    assert one.hypervolumes == pytest.approx((0.2 * 0.2, 0.5 * 0.5, 0.5 * 0.5 + 0.3 * 0.3))
    assert (other.method, other.evaluations, other.hypervolumes) == ("nas (gp)", (1,), pytest.approx((0.1 * 0.6,)))


# ---- in a terminal


def terminal(width=80, encoding="utf-8", **options):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    return Console(**{"file": file, "width": width, "force_terminal": True, "color_system": None, **options})


CLOUDS = (Cloud("evaluated", [(50.0, 0.4), (100.0, 0.1)], faint=True), Cloud("front", [(0.0, 0.5), (100.0, 0.1)]))


def drawn(lines):
    """The rows between the frame's lines, without the frame."""
    top, bottom = (next(i for i, line in enumerate(lines) if line.startswith(corner)) for corner in "┌└")
    return [line[1:].rpartition("│")[0] for line in lines[top + 1 : bottom]]


def test_points_lie_where_they_should():
    lines = [line.plain for line in draw(CLOUDS, "cost", "error", terminal(width=91))]
    assert lines[0].split() == ["error,", "over", "cost"]
    rows = drawn(lines)
    assert (rows[0][0], rows[-1][-1]) == (
        "o",
        "o",
    )  # the largest error without a cost; over the dot that lies there too
    (height,) = (i for i, row in enumerate(rows) if "." in row)
    assert height / (len(rows) - 1) == pytest.approx(0.25, abs=1 / len(rows))  # a quarter down, half way
    assert rows[height].index(".") / (len(rows[0]) - 1) == pytest.approx(0.5, abs=1 / len(rows[0]))
    assert sum(row.count("o") + row.count(".") for row in rows) == 3
    assert [part for part in lines[-2].split() if part in ("0", "100")] == ["0", "100"]
    assert lines[-1].split() == ["..", "evaluated", "oo", "front"]
    assert max(map(len, lines)) <= 91


def test_millions_are_written_as_such():
    lines = draw([Cloud("front", [(0.0, 0.5), (8e6, 0.1)])], "parameters", "error", terminal())
    assert lines[-2].plain.replace(" M", "M").split()[-1] == "8M"


def test_colours_only_where_they_are_shown():
    assert not any(line.spans for line in draw(CLOUDS, "cost", "error", terminal()))
    assert any(line.spans for line in draw(CLOUDS, "cost", "error", terminal(color_system="standard")))


@pytest.mark.parametrize(
    ("clouds", "options"),
    [(CLOUDS, {"force_terminal": False}), (CLOUDS, {"width": 59}), (CLOUDS, {"encoding": "ascii"}), ((), {})],
)
def test_nothing_is_drawn_where_it_would_be_no_use(clouds, options):
    assert draw(clouds, "cost", "error", terminal(**options)) == []
    assert draw([Cloud("one", [(1.0, 0.5)] * 3)], "cost", "error", terminal()) == []


def test_a_flat_front_and_one_without_cost_can_be_drawn():
    assert draw([Cloud("flat", [(1.0, 0.5), (2.0, 0.5)])], "cost", "error", terminal())
    assert draw([Cloud("free", [(0.0, 0.5), (0.0, 0.4)])], "cost", "error", terminal())


def test_what_is_drawn_of_an_archive():
    own = row(3, 0.2)
    rows = [row(5, 0.5), own, row(7, float("nan"))]
    dots, front = front_clouds(rows, [own], "encoder_parameters")
    assert (dots.points, dots.faint) == ([(5.0, 0.5), (3.0, 0.2)], True)
    assert (front.title, front.points, front.faint) == ("front", [(3.0, 0.2)], False)
    assert front_clouds(rows, [own], "latency_ms")[1].points == []


def test_front_draws_in_a_terminal_only(finished, call, monkeypatch):
    title = "error, selection split, over encoder parameters"
    assert title not in call("front", finished).out
    file = io.StringIO()
    monkeypatch.setattr("secateur.cli.front.out", Console(file=file, width=100, force_terminal=True, color_system=None))
    assert call("front", finished).code == 0
    shown = file.getvalue()
    assert shown.index(title) < shown.index("oo front")
    file.truncate(0)
    assert call("front", finished, "--json").code == 0
    assert title not in file.getvalue()
