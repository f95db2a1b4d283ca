import html
import json
import math
import re
import shutil
import subprocess
from dataclasses import replace

import matplotlib
import pytest
from plotly.offline import get_plotlyjs
from secateur.evaluation.report import Approach, Point, ReportFacts, StageCost, write_page, write_picture
from secateur.evaluation.report.page import DASH, duration, number

TITLE = 'SST-2 <b>"pruned"</b> & $HOME'
NAN = float("nan")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=5000",
    "--dump-dom",
]


def point(key, latency, error, encoder, *, front=False, method="nsga2", heads=(3, 0), neurons=(40, 0)):
    """Return a made-up subnetwork; those on the front have a report error and a measured latency."""
    return Point(
        key=key,
        method=method,
        heads=heads,
        neurons=neurons,
        hidden=16,
        error_selection=error,
        error_report=error + 0.01 if front else None,
        parameters=encoder + 5e6,
        encoder_parameters=encoder,
        macs=encoder * 128,
        latency_ms=latency,
        latency_measured_ms=latency * 1.1 if front else None,
        latency_low_ms=latency if front else None,
        latency_high_ms=latency * 1.2 if front else None,
        on_front=front,
    )


FULL = point("f" * 16, 30.0, 0.08, 10e6, front=True, method="fine-tuned", heads=(4, 4), neurons=(64, 64))
POINTS = (
    point("a" * 16, 5.0, 0.30, 4e6, front=True),
    point("b" * 16, 10.0, 0.20, 5e6, front=True, method="kcm </script><i>"),
    point("c" * 16, 20.0, 0.10, 8e6, front=True),
    point("d" * 16, 9.9, 0.31, 1e6),  # dominated in latency, the smallest encoder
    point("e" * 16, 8.0, NAN, 2e6),  # failed
    point("0" * 16, 12.0, 0.20, 5.5e6),  # as good as b, but slower
)


@pytest.fixture
def facts():
    return ReportFacts(
        title=TITLE,
        task="sst2",
        metric="accuracy",
        model="bert <tiny>",
        space="medium",
        strategy="sandwich",
        full=replace(FULL, on_front=False),
        points=POINTS,
        stages=(StageCost("search", 185.0, "6 evaluations"), StageCost("report", NAN)),
        target="a made-up processor, cpu, 2 threads",
        table_error=0.031,
        environment={"python": "3.12 <x>"},
        splits="Selection is held out of train; report is the validation split.",
        hypervolumes={"nsga2": 0.4124},
        run="runs/my run",
    )


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
    assert "6 subnetworks of bert &lt;tiny&gt; evaluated; 3 are on the front." in text
    assert "3.12 &lt;x&gt;" in text
    assert "its median error is 3.1 %" in text
    assert "3 min 05 s" in text
    assert '<td class="number">0.4124</td>' in text
    assert "<tiny>" not in text
    assert "kcm </script>" not in text


def test_table_has_the_front_and_the_full_model(page):
    text = page.read_text(encoding="utf-8")
    table = text[text.index('<table id="front">') : text.index("</tfoot>")]
    assert re.findall(r'href="#key=(\w+)"', table) == ["a" * 16, "b" * 16, "c" * 16]
    row = re.sub(r"<[^>]*>", "|", table[table.index("bbbb</code>") : table.index("cccc")])
    for shown in (
        "0.2000",
        "0.2100",
        "5.00 M",
        "50.0 %",
        "10.0 M",
        "640 M",
        "11.0 (10.0" + DASH + "12.0)",
        "1 layer, 3 heads, 40 neurons",
    ):
        assert f"|{shown}|" in row
    assert "Full model" in table[table.index("<tfoot>") :]


def test_payload_is_json_without_nan(page):
    data = payload(page.read_text(encoding="utf-8"))
    assert [p["key"] for p in data["points"]] == [p.key for p in POINTS]
    failed, without_report = data["points"][4], data["points"][3]
    assert failed["values"]["error_selection"] is None
    assert failed["shown"]["error_selection"] == without_report["shown"]["latency_measured_ms"] == DASH
    assert data["points"][1]["method"] == "kcm </script><i>"
    assert data["command"] == "secateur extract 'runs/my run' --key"
    assert [(a["name"], a["unit"], a["divisor"]) for a in data["axes"]] == [
        ("latency_ms", "ms", 1),
        ("latency_measured_ms", "ms", 1),
        ("encoder_parameters", "M", 1e6),
        ("macs", "G", 1e9),
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
    assert "0 subnetworks of bert &lt;tiny&gt; evaluated; 0 are on the front." in text
    assert "No subnetwork is on the front." in text


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
    nothing = replace(facts, points=POINTS[3:], full=replace(FULL, error_report=None, latency_measured_ms=None))
    write_picture(tmp_path / "front.png", nothing)


# ---- two fronts beside each other


@pytest.fixture
def two(facts):
    own = replace(POINTS[1], method="moasha", weights="standard", error_selection=0.15)
    other = replace(point("1" * 16, 6.0, 0.4, 2e6, front=True, method="moasha"), weights="standard")
    approaches = (
        Approach("supernet", "weight sharing", 190.0, 0.75),
        Approach("standard", "standard NAS", 7300.0, 0.51),
    )
    return replace(facts, points=(*POINTS, own, other), approaches=approaches)


def test_page_compares_two_fronts(tmp_path, two):
    write_page(tmp_path / "report.html", two)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "on their fronts are 3 of weight sharing and 2 of standard NAS." in text
    assert '<tr><th scope="row">standard NAS</th><td>0.5100</td><td>2 h 01 min</td></tr>' in text
    assert '<tr><th scope="row">weight sharing</th><td>0.7500</td><td>3 min 10 s</td></tr>' in text
    assert f'<a href="#key={"b" * 16}-standard">' in text
    assert f'<a href="#key={"b" * 16}">' in text
    names = [p["key"] for p in payload(text)["points"]]
    assert len(set(names)) == len(names)


def test_picture_compares_two_fronts(tmp_path, two, facts):
    for name, drawn in (("two", two), ("one", facts), ("other", replace(two, approaches=two.approaches[::-1]))):
        write_picture(tmp_path / name, drawn)
    pictures = [(tmp_path / name).read_bytes() for name in ("one", "two", "other")]
    assert len(set(pictures)) == 3


# ---- in a browser


def browse(page, fragment="", script=""):
    """Open the page, run a script in it, and return the document; fail on any complaint of the browser's."""
    opened = page.with_name("opened.html")
    text = page.read_text(encoding="utf-8")
    opened.write_text(text.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    assert CHROMIUM is not None
    profile = page.with_name("profile")
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", f"{opened.as_uri()}{fragment}"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120, check=True)
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return done.stdout, complaints


def command_in(document):
    found = re.search(r'<code id="command">(.*?)</code>', document)
    return found[1] if found else None


in_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


@in_browser
@pytest.mark.parametrize(
    ("fragment", "key"),
    [("#axis=latency_ms&budget=12.5", "b"), ("#axis=encoder_parameters&budget=1500000", "d")],
)
def test_address_sets_the_budget(page, fragment, key):
    document, complaints = browse(page, fragment)
    assert complaints == []
    assert command_in(document) == f"secateur extract 'runs/my run' --key {key * 16}"
    assert re.search(rf'<tr class="picked"><th scope="row"><a href="#key={key * 16}"', document) or key == "d"
    assert '<p class="warning" id="broken" hidden="">' in document


DRIVE = """
const result = {};
const pick = () => [element("pick").hidden, element("command").textContent.slice(-1)];
function set(id, value, kind) {
  element(id).value = value;
  element(id).dispatchEvent(new Event(kind));
  return pick();
}
const pause = () => new Promise((done) => setTimeout(done, 300));
async function drive() {
  result.slider = [6, 12.5, 25].map((value) => set("slider", value, "input"));
  await pause();
  result.address = location.hash;
  result.number = [set("budget", 10, "input"), set("budget", 1, "input"), element("pick-title").textContent];
  result.axis = set("axis", "encoder_parameters", "change");
  result.millions = set("budget", 8, "input");
  location.hash = "#key=" + "d".repeat(16);
  await pause();
  result.key = pick();
  location.hash = "#axis=nonsense&budget=-&key=unknown";
  await pause();
  result.unknown = pick();
  element("front").tHead.rows[0].cells[3].querySelector("button").click();
  result.sorted = [...element("front").tBodies[0].rows].map((row) => row.cells[0].textContent[0]);
  result.drawn = document.querySelectorAll("#chart .scatterlayer .trace").length > 4;
  const made = document.createElement("pre");
  made.id = "result";
  made.textContent = JSON.stringify(result);
  document.body.append(made);
}
drive();
"""


@in_browser
def test_controls_move_the_pick(page):
    document, complaints = browse(page, script=DRIVE)
    assert complaints == []
    found = re.search(r'<pre id="result">(.*?)</pre>', document)
    assert found, "the page's script did not come to its end"
    result = json.loads(html.unescape(found[1]))
    assert result == {
        "slider": [[False, "a"], [False, "b"], [False, "c"]],
        "address": "#axis=latency_ms&budget=25",
        "number": [[False, "b"], [True, "b"], "Nothing within 1 ms"],
        "axis": [False, "b"],  # half of the full encoder's 10 M
        "millions": [False, "c"],
        "key": [False, "d"],  # the budget moves to what it costs
        "unknown": [False, "d"],
        "sorted": ["c", "b", "a"],
        "drawn": True,
    }


@in_browser
@pytest.mark.parametrize("weights", ["supernet", "standard"])
def test_the_same_mask_of_two_fronts_is_two_models(tmp_path, two, weights):
    write_page(tmp_path / "report.html", two)
    name = "b" * 16 + ("-standard" if weights == "standard" else "")
    document, complaints = browse(tmp_path / "report.html", f"#axis=latency_ms&key={name}")
    assert complaints == []
    assert command_in(document) == f"secateur extract 'runs/my run' --key {'b' * 16} --weights {weights}"
    assert re.search(rf'<tr class="picked"><th scope="row"><a href="#key={name}"', document)
    assert "best within a budget, standard NAS" in document


@in_browser
def test_empty_run_opens(tmp_path, facts):
    write_page(tmp_path / "report.html", replace(facts, points=()))
    document, complaints = browse(tmp_path / "report.html")
    assert complaints == []
    assert "No subnetwork has both numbers." in document


@in_browser
def test_the_browser_would_complain(page):
    document, complaints = browse(page, script="throw new Error('on purpose')")
    assert any("on purpose" in line for line in complaints)
    assert '<p class="warning" id="broken">' in document
