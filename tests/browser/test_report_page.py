"""The report page as people use it: clicks, keys, a phone, the dark, in a real browser."""

import csv
import json
import shutil
from dataclasses import replace

import pytest
from matplotlib.image import imread
from secateur.evaluation.report import write_page
from secateur.evaluation.report.parts import DASH
from secateur.tests.made_up_report import all_layers, one_layer

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    write_page(folder / "one.html", one_layer())
    write_page(folder / "many.html", all_layers())
    write_page(folder / "none.html", replace(one_layer(), points=()))
    return folder


AGAIN = """(fragment) => {
    Object.assign(state, { layer: facts.layers[0].name, axis: facts.axes[0], error: "error_selection" });
    Object.assign(state, { budgets: {}, untouched: null, name: null, hidden: new Set() });
    history.pushState(null, "", fragment || "#");
    readAddress();
    makeBudgets();
    show();
    history.replaceState(null, "", address());
    scrollTo(0, 0);
}"""


@pytest.fixture(scope="module")
def opened(browser, pages):
    """Return a function that opens a page once, as a window with these options, and what the browser complained of."""
    found, complaints = {}, []

    def go(name, fragment="", **options):
        kind = name, str(options)
        if kind in found:
            found[kind].evaluate(AGAIN, fragment)
            return found[kind]
        page = found[kind] = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options}).new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request", lambda asked: None if asked.url.startswith(("file:", "blob:")) else complaints.append(asked.url)
        )
        page.goto(f"{(pages / f'{name}.html').as_uri()}{fragment}")
        page.wait_for_selector("#chart .main-svg")
        return page

    return go, complaints


@pytest.fixture
def visit(opened):
    """Open a page as it is at first; any complaint of the browser's, and anything that it asks for, fails the test."""
    go, complaints = opened
    complaints.clear()
    yield lambda name="one", fragment="", **options: go(name, fragment, **options)
    assert complaints == []


def until(page, expression):
    """Wait until an expression holds; playwright's own way is against the page's policy."""
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"it never came to {expression}")


def picked(page):
    """Return the pick's key, as the panel's title has it; None if nothing is within the budgets."""
    return page.evaluate("picked()?.name.slice(-9).replace(/^(.)\\1*$/, '$1') ?? null")


def command(page):
    return page.text_content("#command")


def address(page):
    page.wait_for_timeout(250)  # it is written a moment later
    return page.evaluate("location.hash")


def wide(page):
    """Return by how much the page is wider than the window."""
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")


@pytest.mark.parametrize(
    ("fragment", "key"),
    [
        ("#axis=latency_ms&latency_ms=12.5", "b"),
        ("#axis=encoder_parameters&encoder_parameters=1500000", "d"),
        ("#latency_ms=25&disk_mb=22", "b"),  # c is within the first budget only
        ("#axis=nonsense&latency_ms=-&key=unknown", "b"),  # as if nothing was said: half of the whole model's 30 ms
    ],
)
def test_the_address_sets_the_budgets(visit, fragment, key):
    page = visit(fragment=fragment)
    assert picked(page) == key
    assert command(page) == f"secateur extract 'runs/my run' --key {key * 16}"
    assert page.is_hidden("#broken")


def test_the_slider_moves_the_pick_by_keyboard(visit):
    page = visit(fragment="#latency_ms=6")
    assert picked(page) == "a"
    page.focus("#slider-latency_ms")
    seen = [picked(page)]
    for key in ("ArrowRight", "PageUp", "PageUp", "PageUp"):
        page.keyboard.press(key)
        if picked(page) != seen[-1]:
            seen.append(picked(page))
    assert seen[:2] == ["a", "b"]
    page.keyboard.press("End")
    assert picked(page) == "c"
    assert page.get_attribute("#slider-latency_ms", "aria-valuetext") == "30 ms"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert address(page) == "#axis=latency_ms&latency_ms=30"
    page.keyboard.press("Home")
    assert page.text_content("#pick-title") == "Best within 5 ms: " + "a" * 16
    page.fill("#budget-latency_ms", "1")
    assert page.text_content("#pick-title") == "Nothing within 1 ms"
    assert page.text_content("#pick-note") == "The cheapest model needs 5 ms."
    assert page.is_hidden("#pick")


def test_budgets_combine(visit):
    page = visit(fragment="#latency_ms=25")
    assert picked(page) == "c"
    page.click("#more-title")
    page.fill("#budget-disk_mb", "22")
    assert picked(page) == "b"
    assert page.text_content("#more-title") == "More budgets (1 set)"
    assert page.text_content("#pick-title").startswith("Best within 25 ms, 22 MB of weights: ")
    page.fill("#budget-disk_mb", "")
    assert picked(page) == "c"
    page.select_option("#axis", "disk_mb")  # the budget in milliseconds was asked for: it stays
    assert page.evaluate("Object.keys(state.budgets)") == ["latency_ms", "disk_mb"]


def test_a_click_on_a_point_draws_its_architecture(visit):
    page = visit(fragment="#latency_ms=15")
    at = page.evaluate(
        """() => {
            const { xaxis, yaxis } = document.getElementById("chart")._fullLayout;
            const box = document.querySelector("#chart .nsewdrag").getBoundingClientRect();
            const d = facts.points.find((point) => point.key[0] === "d");
            return [box.x + xaxis.d2p(d.values.latency_ms), box.y + yaxis.d2p(yaxis.range[1]) + 4];  // beyond it
        }"""
    )
    page.mouse.click(*at)
    until(page, "state.name !== null")
    assert picked(page) == "d"
    assert command(page).endswith("d" * 16)
    assert page.evaluate("document.activeElement.id") == "pick-title"
    label = page.get_attribute("#architecture", "aria-label")
    assert label == "layer 1: 3 of 4 heads, 40 of 64 neurons; layer 2: 0 of 4 heads, 0 of 64 neurons"
    assert page.locator("#architecture rect.kept").count() == 3 + 1  # heads and the bar of neurons
    assert page.locator("#architecture text.passed").all_text_contents() == ["no attention", "no FFN"]
    page.go_back()
    until(page, "state.name === null")
    assert picked(page) == "b"


def test_stepping_along_the_front(visit):
    page = visit(fragment="#latency_ms=6")
    page.focus("#dearer")
    keys = []
    for _ in range(2):
        page.keyboard.press("Enter")
        until(page, f"location.hash.includes('key=') && picked().name !== '{(keys or ['a'])[-1] * 16}'")
        keys.append(picked(page))
    assert keys == ["b", "c"]
    assert page.is_disabled("#dearer")
    assert page.is_enabled("#cheaper")


def test_the_table_follows_and_sorts(visit):
    page = visit(fragment="#latency_ms=12.5")
    assert page.text_content("#models tr.picked th") == "b" * 16
    page.click("#models thead th:nth-child(4) button")
    keys = page.locator("#models tbody th[data-name]").all_text_contents()
    assert [key[0] for key in keys] == ["c", "b", "a"]
    assert page.get_attribute("#models thead th:nth-child(4)", "aria-sort") == "ascending"
    page.click("#models tbody th:has-text('aaaa') a")
    until(page, "state.name !== null")
    assert picked(page) == "a"


def test_layers_are_never_mixed(visit):
    page = visit("many", "#axis=latency_ms")
    shown = "[...new Set(usable().map((point) => point.layer))]"
    assert page.evaluate(shown) == ["none"]
    assert page.evaluate("whole().values.error_selection") == 0.08
    page.check("input[value=refitted]")
    assert page.evaluate(shown) == ["refitted"]
    assert page.evaluate("whole().values.error_selection") == 0.08
    page.check("input[value=recovered]")
    assert page.evaluate(shown) == ["recovered"]
    assert page.evaluate("whole().values.error_selection") == 0.07
    assert [row.split() for row in page.locator("#methods tbody tr:visible").all_inner_texts()] == [["kcm", "1"]]
    assert page.locator("#models tbody:visible").count() == 1
    assert picked(page) == "3"
    assert address(page).startswith("#layer=recovered&axis=latency_ms")
    page.check("input[value=native]")
    assert page.evaluate(shown) == ["native"]
    page.select_option("#axis", "kept")
    page.fill("#budget-kept", "30")
    assert picked(page) == "2"  # what has zeros has no latency, but a share of weights
    assert page.text_content("#numbers tr:has-text('Weights kept') td") == "25.0 % non-zero"
    page.select_option("#error", "error_int8")
    assert "int8" in page.text_content("#chart .ytitle")


@pytest.mark.parametrize("name", ["b" * 16, "b-standard"])
def test_the_same_mask_of_two_layers_is_two_models(visit, name):
    page = visit("many", f"#key={name}")
    own = name == "b-standard"
    assert command(page) == f"secateur extract 'runs/my run' --key {'b' * 16}{' --weights standard' if own else ''}"
    assert page.evaluate("state.layer") == ("native" if own else "none")


def test_methods_can_be_hidden(visit):
    page = visit(fragment="#latency_ms=12.5")
    lines = "[...new Set(document.getElementById('chart').data.map((trace) => trace.name))]"
    assert page.evaluate(lines) == ["nsga2", "kcm &lt;/script>&lt;i>", "whole model", "beyond the chart", "the pick"]
    page.focus("#methods tbody tr:nth-child(2) input")
    page.keyboard.press("Space")
    assert page.evaluate(lines) == ["nsga2", "whole model", "beyond the chart", "the pick"]
    assert picked(page) == "0"  # as good as b was, but slower
    page.click("#none")
    assert page.text_content("#pick-note") == "No model that is shown has both numbers."
    page.click("#all")
    assert picked(page) == "b"


def test_measured_latency_is_the_first_axis(visit):
    page = visit()
    assert page.evaluate("state.axis.name") == "latency_measured_ms"
    assert page.text_content("#caption") == (
        "2 with an error above 0.16 at the upper edge (↑). 3 of 6 models lack one of the two numbers. "
        "Grey: no better than a constant answer."
    )
    page.check("#every")
    assert "upper edge" not in page.text_content("#caption")
    page.uncheck("#every")


def test_a_constant_answer_is_called_so_where_it_is_the_best(visit):
    page = visit(fragment="#axis=encoder_parameters&encoder_parameters=1500000")
    assert page.text_content("#pick-title").startswith(
        "Best within 1.5 M encoder parameters, but no better than a constant answer: "
    )
    assert page.text_content("#pick-note").endswith("It is no better than a constant answer.")
    assert visit(fragment="#latency_ms=25").text_content("#pick-title").startswith("Best within 25 ms: ")
    assert page.text_content("#numbers tr:has-text('report') small") == f"(0.074{DASH}0.161)"  # 22 of 200


def test_the_points_and_the_chart_can_be_taken_away(visit, tmp_path):
    page = visit("many")
    with page.expect_download() as found:
        page.click("#csv")
    found.value.save_as(tmp_path / found.value.suggested_filename)
    with (tmp_path / "models.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == [point.method for point in all_layers().points]
    assert [row["error_report"] for row in rows[:4]] == ["0.31", "0.21000000000000002", "0.11", ""]
    assert rows[3]["constant"] == "true"
    with page.expect_download() as found:
        page.click("#png")
    found.value.save_as(tmp_path / "chart.png")
    assert imread(tmp_path / "chart.png").shape[:2] == (1600, 2400)


def test_the_front_is_drawn_layer_by_layer(visit):
    page = visit("one")
    shares = page.evaluate("document.getElementById('kept').data.map(({ z }) => z)")
    assert shares == [[[3 / 4, 0]] * 3, [[40 / 64, 0]] * 3]  # heads and neurons of a, b and c
    page = visit("many")
    page.check("input[value=recovered]")
    assert page.evaluate("document.getElementById('kept').data[0].z.length") == 1


def test_growth_and_latency_are_drawn(visit):
    page = visit("many")
    growth = page.evaluate("(({ x, y }) => [x, y])(document.getElementById('growth').data[0])")
    assert growth == [[1, 4, 6], [0.1, 0.3, 0.4124]]
    points = page.evaluate("(({ x, y }) => [x, y])(document.getElementById('latency').data[0])")
    assert points[0][:3] == [5, 10, 20]
    assert points[1][:3] == pytest.approx([5.5, 11, 22])
    assert visit("one").is_hidden("#growth-card")


def test_a_phone_in_the_dark(visit, tmp_path):
    light = visit("many", viewport=PHONE)
    dark = visit("many", viewport=PHONE, color_scheme="dark", has_touch=True)
    colours = []
    for page in (light, dark):
        assert wide(page) == 0
        page.click("#more-title")
        for layer in ("refitted", "recovered", "native"):
            page.check(f"input[value={layer}]")
            assert wide(page) == 0
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        box = page.locator("#slider-latency_ms").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
    assert colours == ["rgb(247, 247, 245)", "rgb(20, 23, 26)"]
    shots = [page.locator("#chart").screenshot(path=tmp_path / f"{i}.png") for i, page in enumerate((light, dark))]
    assert len(set(shots)) == 2
    dark.emulate_media(color_scheme="light")
    axis = "getComputedStyle(document.querySelector('#chart .xtitle')).fill"
    until(dark, f"{axis} === 'rgb(27, 30, 34)'")  # the charts follow


def test_a_screenshot_is_not_blank(visit, tmp_path):
    page = visit("many")
    for part, least in (("#chart", 8), ("#architecture", 4)):
        path = tmp_path / "shot.png"
        page.locator(part).screenshot(path=path)
        pixels = imread(path)[..., :3].reshape(-1, 3)
        assert len({tuple(pixel) for pixel in (pixels[::7] * 15).round().tolist()}) >= least


USABLE = "main select, main input:not([type=radio]), main button, main summary, main a"  # of radios Tab takes one


def test_everything_that_can_be_used_is_reached_by_keyboard_and_seen(visit):
    page = visit("many")
    page.evaluate(f"usable_ones = [...document.querySelectorAll('{USABLE}')]")
    wanted = page.evaluate("usable_ones.filter((one) => one.checkVisibility() && !one.disabled).length")
    reached = set()
    for _ in range(wanted + 20):
        page.keyboard.press("Tab")
        if (at := page.evaluate("usable_ones.indexOf(document.activeElement)")) >= 0:
            reached.add(at)
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert len(reached) == wanted > 20


def test_an_empty_run_opens(visit):
    assert visit("none").text_content("#pick-note") == "No model that is shown has both numbers."


def test_the_browser_would_complain(browser, pages, tmp_path):
    text = (pages / "one.html").read_text(encoding="utf-8")
    (tmp_path / "broken.html").write_text(
        text.replace("</body>", "<script>throw new Error('on purpose')</script></body>")
    )
    page = browser.new_page()
    said = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto((tmp_path / "broken.html").as_uri())
    assert page.is_visible("#broken")
    assert any("on purpose" in line for line in said)
    assert json.loads(page.text_content("#facts"))["metric"] == "accuracy"
    page.close()
