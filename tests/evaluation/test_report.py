import html
import json
import math
import re
from dataclasses import replace
from statistics import NormalDist

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from plotly.offline import get_plotlyjs
from secateur.evaluation.report import Yardstick, write_page, write_picture
from secateur.evaluation.report.drawing import Mark, axis_of_errors
from secateur.evaluation.report.looks import glyph, looks
from secateur.evaluation.report.parts import DASH, duration, number, part
from secateur.pruners import PRUNERS
from secateur.searchers import SEARCHERS
from secateur.tests.made_up_report import FULL, NAN, POINTS, TITLE, all_layers, changed, one_layer, point


@pytest.fixture
def facts():
    return one_layer()


@pytest.fixture
def page(tmp_path, facts):
    path = tmp_path / "out" / "report.html"
    write_page(path, facts)
    return path


def payload(text):
    found = re.search(r'<script type="application/json" id="facts">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_page_states_the_run(page):
    text = page.read_text(encoding="utf-8")
    assert f"<h1>{html.escape(TITLE)}</h1>" in text
    assert f"<title>{html.escape(TITLE)}</title>" in text
    assert "6 models cut out of bert &lt;tiny&gt; by 2 methods; 3 are on the front of the search; 1 is no" in text
    assert "3.12 &lt;x&gt;" in text
    assert "its median error is 3.1 %" in text
    assert "3 min 05 s" in text
    assert '<td class="number">0.4124</td>' in text
    assert "<tiny>" not in text
    assert "kcm </script>" not in text
    assert 'type="radio"' not in text  # one layer: nothing to choose
    assert "in int8 (as served)" not in text


def test_table_has_what_was_reported_and_the_whole_model(page):
    text = page.read_text(encoding="utf-8")
    table = text[text.index('<table id="models">') : text.index("</section>", text.index('<table id="models">'))]
    assert re.findall(r'href="#key=(\w+)"', table) == ["a" * 16, "b" * 16, "c" * 16]
    row = re.sub(r"<[^>]*>", "|", table[table.index("bbbb</code>") : table.index("cccc")])
    for shown in (
        "0.2000",
        "0.2100",
        "50.0 %",
        "10.0 M",
        "640 M",
        "11.0|(10.0" + DASH + "12.0)",
        "1 layer, 3 heads, 40 neurons",
    ):
        assert f"|{shown}|" in row
    assert table.index("Whole model") < table.index("aaaa")


def test_payload_is_json_without_nan(page):
    data = payload(page.read_text(encoding="utf-8"))
    assert [p["key"] for p in data["points"]] == [p.model.key for p in POINTS]
    failed, without_report = data["points"][4], data["points"][3]
    assert failed["values"]["error_selection"] is None
    assert failed["shown"]["error_selection"] == without_report["shown"]["latency_measured_ms"] == DASH
    assert data["points"][1]["method"] == "kcm </script><i>"
    assert data["command"] == "secateur extract 'runs/my run'"
    assert data["points"][0]["extract"] == "--key " + "a" * 16
    assert [(a["name"], a["unit"], a["divisor"]) for a in data["axes"]] == [
        ("latency_measured_ms", "ms", 1),
        ("latency_ms", "ms", 1),
        ("kept", "%", 0.01),
        ("disk_mb", "MB", 1),
        ("macs", "G", 1e9),
        ("encoder_parameters", "M", 1e6),
        ("parameters", "M", 1e6),
    ]


def test_page_fetches_nothing(page):
    text = page.read_text(encoding="utf-8")
    assert get_plotlyjs() in text
    ours = text.replace(get_plotlyjs(), "")
    assert "//" not in re.sub(r"^\s*//.*$", "", ours, flags=re.MULTILINE).replace(" // ", " ")
    assert not re.search(r"(src|href)\s*=\s*[\"']?(?!#)", ours.replace('href="#', ""))
    assert "default-src 'none'" in ours


def test_page_is_replaced_whole(page, facts):
    before = page.stat()
    write_page(page, replace(facts, title="second"))
    assert "<h1>second</h1>" in page.read_text(encoding="utf-8")
    assert [p.name for p in page.parent.iterdir()] == ["report.html"]
    assert page.stat().st_mode == before.st_mode
    assert before.st_mode & 0o400


def test_page_without_points(tmp_path, facts):
    write_page(tmp_path / "report.html", replace(facts, points=(), stages=(), hypervolumes={}))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "0 models cut out of bert &lt;tiny&gt;; 0 are on the front of the search." in text
    assert "No model was scored on the report split." in text


def test_facts_are_checked(facts):
    with pytest.raises(ValueError, match=r"a{16} has heads of 3 layers but neurons of 2"):
        point("a" * 16, 1.0, 0.1, 1e6, heads=(1, 2, 3))
    with pytest.raises(ValueError, match=r"a{16} has 3 layers, but the full model has 2"):
        replace(facts, points=(point("a" * 16, 1.0, 0.1, 1e6, heads=(1, 2, 3), neurons=(1, 2, 3)),))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, DASH),
        (NAN, DASH),
        (math.inf, DASH),
        (0.0, "0"),
        (0.08256, "0.0826"),
        (9.999, "10.0"),
        (999.9, "1.00 k"),
        (5_321_000.0, "5.32 M"),
        (1.4e9, "1.40 G"),
        (123e9, "123 G"),
    ],
)
def test_number(value, text):
    assert number(value) == text


def test_duration():
    assert [duration(s) for s in (8.23, 59.97, 185.0, 7799.9, NAN)] == [
        "8.2 s",
        "1 min 00 s",
        "3 min 05 s",
        "2 h 10 min",
        DASH,
    ]


def test_picture(tmp_path, facts):
    before = dict(matplotlib.rcParams)
    write_picture(tmp_path / "front.png", facts)
    assert (tmp_path / "front.png").read_bytes().startswith(b"\x89PNG\r\n")
    assert [p.name for p in tmp_path.iterdir()] == ["front.png"]
    assert dict(matplotlib.rcParams) == before
    nothing = replace(facts, points=POINTS[3:], full=changed(FULL, error_report=None, latency_ms=None))
    write_picture(tmp_path / "front.png", nothing)


# ---- several layers, methods and fronts


@pytest.fixture
def many():
    return all_layers()


def test_page_shows_all_layers_apart(tmp_path, many):
    write_page(tmp_path / "report.html", many)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    bodies = dict(re.findall(r'<tbody data-layer="(\w+)">(.*?)</tbody>', text, re.DOTALL))
    assert {name: re.findall(r'data-name="([\w-]+)"', body) for name, body in bodies.items()} == {
        "none": ["a" * 16, "b" * 16, "c" * 16],
        "refitted": ["4" * 16],
        "recovered": ["3" * 16],
        "native": ["2" * 16, "b-standard"],
    }
    assert "0.0700" in bodies["recovered"]
    assert "0.0800" in bodies["native"]  # has no whole model of its own
    assert "25.0 % non-zero" in bodies["native"]
    assert "kcm at 0.3" in bodies["recovered"]
    choices = re.findall(r'<input type="radio" name="layer" value="(\w+)"', text)
    assert choices == ["none", "refitted", "recovered", "native"]
    rows = re.findall(r'<tr data-layer="(\w+)">.*?value="([^"]*)".*?<td class="number">(\d+)</td>', text)
    assert rows == [
        ("none", "nsga2", "5"),
        ("none", "kcm &lt;/script&gt;&lt;i&gt;", "1"),
        ("refitted", "kcm", "1"),
        ("recovered", "kcm", "1"),
        ("native", "standard nas (moasha)", "1"),
        ("native", "deepcuts", "1"),
    ]
    assert "in int8 (as served)" in text


def test_page_compares_approaches(tmp_path, many):
    write_page(tmp_path / "report.html", many)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "on their fronts are 3 of weight sharing and 1 of standard NAS;" in text
    assert '<tr><th scope="row">standard NAS</th><td>0.5100</td><td>2 h 01 min</td></tr>' in text
    assert '<tr><th scope="row">weight sharing</th><td>0.7500</td><td>3 min 10 s</td></tr>' in text
    data = payload(text)
    assert data["points"][6]["extract"] == f"--key {'b' * 16} --weights standard"
    assert data["curves"] == [{"method": "nsga2", "evaluations": [1, 4, 6], "hypervolumes": [0.1, 0.3, 0.4124]}]
    assert {name: whole["values"]["error_selection"] for name, whole in data["wholes"].items()} == {
        "none": 0.08,
        "refitted": 0.08,
        "recovered": 0.07,
        "native": 0.08,
    }


def test_a_model_that_several_searchers_found_is_one(facts):
    found = replace(facts, points=(*POINTS, replace(POINTS[0], method="gp")))
    assert [p.method for p in found.reported if p.model.key == "a" * 16] == ["nsga2"]
    assert len(found.front) == 3


def colours_of(path):
    """The colours of a picture, as in its code."""
    pixels = matplotlib.image.imread(path)[..., :3].reshape(-1, 3)
    return {"#" + bytes(pixel).hex() for pixel in np.unique((pixels * 255).round().astype(np.uint8), axis=0)}


def test_picture_has_each_method_in_its_colour_(tmp_path, many, facts):
    search, standard, pruner = (looks([name])[name].light for name in ("nsga2", "standard nas (moasha)", "kcm"))
    write_picture(tmp_path / "one.png", facts)
    assert search in colours_of(tmp_path / "one.png")
    assert standard not in colours_of(tmp_path / "one.png")
    write_picture(tmp_path / "many.png", many)
    assert {search, standard} <= colours_of(tmp_path / "many.png")
    assert pruner not in colours_of(tmp_path / "many.png")  # it was not searched


def test_no_interval_is_cut_off():
    figure = Figure()
    left, right = figure.subplots(1, 2, sharey=True)
    marks = [
        Mark(1, 0.2, False, (0.15, 0.26)),
        Mark(math.nan, 0.1, False, (0.06, 0.14)),
        Mark(3, 0.9, True, (0.8, 1.0)),
    ]
    end = axis_of_errors(left, marks, 0.25, "agreement with the whole model")
    for axes in (left, right):
        low, high = axes.get_ylim()
        assert low < 0.06 < 0.26 < high == end < 0.8  # what is above is an arrow there
    assert max(map(len, left.get_ylabel().splitlines())) <= 40  # the axis is not longer
    assert axis_of_errors(left, [], 0.25, "accuracy") > 0.25


# ---- what errors are held against


@pytest.mark.parametrize(("wrong", "rows"), [(0, 40), (13, 200), (200, 200)])
def test_intervals_are_wilsons(wrong, rows):
    low, high = Yardstick(rows=rows).interval(wrong / rows)
    # Source: Wilson, 1927: where (p - p0)^2 = z^2 p0 (1 - p0) / n, which is a quadratic equation in p0.
    z, p = NormalDist().inv_cdf(0.975), wrong / rows
    roots = np.roots([1 + z**2 / rows, -(2 * p + z**2 / rows), p**2])
    assert (low, high) == pytest.approx(tuple(sorted(roots)), abs=1e-9)


def test_there_is_no_interval_of_what_is_no_mean_over_rows():
    assert Yardstick(rows=0).interval(0.1) is None
    assert Yardstick(rows=10).interval(None) is Yardstick(rows=10).interval(NAN) is None


def test_constant_answers_are_told():
    held = Yardstick(0.4, 0.5)
    assert [held.is_constant(*errors) for errors in ((0.4,), (0.3,), (0.3, 0.5), (0.3, 0.49), (NAN, None))] == [
        True,
        False,
        True,
        False,
        False,
    ]
    assert not Yardstick().is_constant(0.9, 0.9)  # where it is not known


def test_the_axis_ends_where_people_stop_to_choose():
    held = Yardstick(0.5, 0.5)
    assert held.top(0.05, [0.06, 0.07, 0.5, 0.5]) == pytest.approx(0.2)  # a third of what the whole one knows is lost
    assert held.top(0.05, [0.06, 0.07]) == 0.07
    assert held.top(0.05, [0.3, 0.35, 0.4, 0.5]) == pytest.approx((0.3 + 0.35) / 2)  # half of what knows anything
    for all_of_it in (held.top(0.5, [0.5, 0.6]), Yardstick().top(0.1, [0.2, 0.6])):
        assert all_of_it == 0.6


def test_a_run_that_learnt_nothing_says_so_first(tmp_path, facts):
    write_page(tmp_path / "some.html", facts)
    assert "Nothing was learnt" not in (tmp_path / "some.html").read_text(encoding="utf-8")
    write_page(tmp_path / "none.html", replace(facts, yardstick=Yardstick(0.08, 0.08)))
    text = (tmp_path / "none.html").read_text(encoding="utf-8")
    assert text.index("Nothing was learnt.") < text.index("<main>")


def test_constant_answers_are_called_so_in_the_table(tmp_path, facts):
    write_page(tmp_path / "report.html", replace(facts, yardstick=Yardstick(0.25, 0.35, 100)))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    row = {key: re.search(f'data-name="{key * 16}".*?</tr>', text)[0] for key in "abc"}
    assert ["no better than a constant answer" in row[key] for key in "abc"] == [True, False, False]
    assert '>Constant answer</th><td></td><td>no model</td><td class="number">0.2500</td>' in text
    assert [point["constant"] for point in payload(text)["points"]] == [True, False, False, True, False, False]
    # Wilson's by hand, 11 of 100: (0.11 + 0.0192 -+ 1.96 * sqrt(0.000979 + 0.000096)) / 1.0384
    assert f"0.1100<small>(0.063{DASH}0.186)</small>" in row["c"]


# ---- colours


def luminance(colour):
    """Source: WCAG 2.2, relative luminance."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(share * c for share, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("scheme", "block"), [("light", 0), ("dark", 1)])
def test_text_and_markers_can_be_told_from_the_page(scheme, block):
    css = re.findall(r":root \{(.*?)\}", part("page.css"), re.DOTALL)[block]
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", css))
    for paper in (colours["page"], colours["card"]):
        for ink in ("ink", "soft", "accent"):
            assert contrast(colours[ink], paper) >= 4.5, (ink, paper)  # WCAG AA, text
        for drawn in ("kept", "report"):
            assert contrast(colours[drawn], paper) >= 3, (drawn, paper)  # WCAG AA, graphics
    for look in looks([*PRUNERS, *SEARCHERS]).values():
        assert contrast(getattr(look, scheme), colours["card"]) >= 3, look


def test_the_legend_has_a_glyph_for_each_shape():
    drawn = [re.sub(r' style="[^"]*"', "", glyph(look)) for look in looks([*PRUNERS, *SEARCHERS]).values()]
    assert len(set(drawn)) == len(PRUNERS) + len(SEARCHERS)
    numbers = [float(n) for one in drawn for n in re.findall(r"-?\d+\.\d", re.search(r' d="(.*?)"', one)[1])]
    assert max(map(abs, numbers)) == 8
