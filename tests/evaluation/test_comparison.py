"""All methods beside one another: who is ahead, and how page and picture show it."""

import re
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from secateur.evaluation.model import Model
from secateur.evaluation.model_error import constant_error
from secateur.evaluation.report import Comparison, Yardstick, write_comparison_picture, write_page
from secateur.evaluation.report.comparison import ComparedPoint
from secateur.evaluation.report.comparison_tables import comparison_section
from secateur.evaluation.report.looks import looks
from secateur.evaluation.weights import Layer, Weights
from secateur.pruners import PRUNERS
from secateur.searchers import SEARCHERS
from secateur.tasks.metrics import METRICS
from secateur.tasks.split import Split
from secateur.tests.made_up_report import one_layer

BUDGETS = (0.75, 0.5, 0.25)


def point(method, share, error, *, weights=Weights.FINETUNED, seed=0, zeros=False, **changes) -> ComparedPoint:
    model = Model(
        key=f"{seed:016x}",
        weights=weights,
        method=method.partition(" ")[0],
        heads=(1,),
        neurons=(1,),
        hidden=8,
        error_selection=error,
        error_report=error + 0.02,
        latency_ms=None if zeros else 10 * share,
        latency_low_ms=None if zeros else 9 * share,
        latency_high_ms=None if zeros else 11 * share,
        parameters=None if zeros else 2000,
        encoder_parameters=None if zeros else 1000,
        macs=None if zeros else 100,
        nonzero=share if zeros else None,
    )
    made = ComparedPoint(
        model=model,
        method=method,
        density=share,
        share=share,
        seed=seed,
        seconds=3.0,
        shared_seconds=0.0,
        texts=64,
        labels=32,
        epochs=0.0,
    )
    return replace(made, **changes)


@pytest.fixture
def facts() -> Comparison:
    points = [
        point("nas (moead)", 0.5, 0.1, seconds=100.0, shared_seconds=90.0),
        point("nas (moead)", 0.25, 0.3, seconds=95.0, shared_seconds=90.0),
        point("kcm", 0.5, 0.1, seed=0, labels=0),
        point("kcm", 0.5, 0.3, seed=1, labels=0),
        point("kcm", 0.75, 0.05, labels=0),
        point("kcm </script><i>", 0.5, 0.2, weights=Weights.RECOVERED),
        point("deepcuts_cam", 0.5, 0.0, weights=Weights.NATIVE, zeros=True),
        point("standard nas (moasha)", 0.75, 0.4, weights=Weights.STANDARD),
    ]
    return Comparison(
        title="SST-2 <b> & $HOME",
        task="sst2",
        metric="accuracy",
        model="bert <tiny>",
        points=tuple(points),
        wholes={Layer.NONE: point("whole", 1.0, 0.04)},
        budgets=BUDGETS,
        yardstick=Yardstick(0.5, 0.52),
        epochs=1.0,
        after_refit=True,
        facts={"Splits": "selection is held out <of> train"},
    )


def test_seeds_are_put_together(facts):
    (kcm,) = (e for e in facts.entries if (e.method, e.density) == ("kcm", 0.5))
    assert (kcm.seeds, kcm.error_selection, kcm.error_report) == (2, pytest.approx(0.2), pytest.approx(0.22))
    assert kcm.deviation_selection == pytest.approx(np.std([0.1, 0.3], ddof=1))
    assert [e.density for e in facts.entries if e.layer == "none"] == [0.75, 0.5, 0.5, 0.25]


def test_hypervolumes_by_hand(facts):
    volumes = {(s.method, s.layer): s.hypervolume for s in facts.standings}
    # In shares of the box of error 0.5 and size 1: steps of width (1 - share) and height 1 - error / 0.5.
    assert volumes["kcm", "none"] == pytest.approx(0.25 * (1 - 0.05 / 0.5) + (0.75 - 0.5) * (1 - 0.2 / 0.5))
    assert volumes["nas (moead)", "none"] == pytest.approx(0.5 * (1 - 0.1 / 0.5) + 0.25 * (1 - 0.3 / 0.5))
    assert volumes["deepcuts_cam", "native"] == pytest.approx(0.5)
    assert [s.method for s in facts.standings if s.layer == "none"] == ["nas (moead)", "kcm"]
    (nas,) = (s for s in facts.standings if s.method == "nas (moead)")
    assert nas.seconds == 90 + 10 + 5  # a supernet is trained once
    (kcm,) = (s for s in facts.standings if s.method == "kcm")
    assert (kcm.seconds, str(kcm)) == (6, "kcm: 6.0 s, no labels")


def test_winners_are_within_the_budget_and_of_one_axis(facts):
    found = {(w.layer, w.axis, w.budget): w.entry.method for w in facts.winners}
    assert found == {
        ("none", "encoder_parameters", 0.75): "kcm",
        ("none", "encoder_parameters", 0.5): "nas (moead)",
        ("none", "encoder_parameters", 0.25): "nas (moead)",
        ("recovered", "encoder_parameters", 0.75): "kcm </script><i>",
        ("recovered", "encoder_parameters", 0.5): "kcm </script><i>",
        ("native", "encoder_parameters", 0.75): "standard nas (moasha)",
        ("native", "nonzero", 0.5): "deepcuts_cam",
    }
    (within,) = (w for w in facts.winners if (w.layer, w.axis, w.budget) == ("none", "encoder_parameters", 0.75))
    assert (within.entry.error_selection, within.entry.error_report) == (0.05, pytest.approx(0.07))


def test_every_method_has_its_own_shape_whatever_else_is_shown():
    names = [*PRUNERS, "ladder", *(f"nas ({name})" for name in SEARCHERS)]
    styles = looks(names)
    for key in ("symbol", "rings"):  # on the page and on paper
        assert len({str(getattr(look, key)) for look in styles.values()}) == len(names)
    for name in ("kcm", "nas (nsga2)"):
        alone = looks(["another", name])[name]
        assert (alone.light, alone.symbol) == (styles[name].light, styles[name].symbol)
    changed = looks(["kcm (1,000 texts)"])["kcm (1,000 texts)"]
    assert changed.light == styles["kcm"].light
    assert changed.symbol != styles["kcm"].symbol


@pytest.mark.parametrize("labels", [[0, 1, 1, 1], [0, 1, 2, 2]])
def test_the_best_constant_answer(labels):
    split = Split([np.zeros(1, np.int32)] * 4, None, np.array(labels))
    commonest = max(labels.count(label) for label in labels)
    assert constant_error(split, METRICS["accuracy"]) == pytest.approx(1 - commonest / 4)
    assert constant_error(split, METRICS["matthews"]) == 1
    numbers = Split(split.input_ids, None, np.array(labels, np.float32))
    assert constant_error(numbers, METRICS["pearson"]) == 1


def test_the_picture_has_a_panel_for_each_layer(facts, tmp_path):
    heights = []
    for layers in (("none",), ("none", "recovered", "native")):
        some = replace(facts, points=tuple(p for p in facts.points if p.layer in layers))
        assert some.layers == layers
        write_comparison_picture(tmp_path / "compare.png", some)
        pixels = matplotlib.image.imread(tmp_path / "compare.png")
        assert pixels.shape[1] == pytest.approx(len(layers) * 784, abs=2)
        assert pixels[..., :3].min() < 0.2  # the whole model's star
        heights.append(pixels.shape[0])
    assert not list(tmp_path.glob(".*"))


def test_the_page_has_who_is_ahead_and_all_models(facts, tmp_path):
    text = comparison_section(facts)
    assert "kcm </script>" not in text
    assert "<td>native recipe</td>" not in text  # the first column heads its row
    first = text.split("<details>")[0]
    winners = re.findall(r'<tr><th scope="row">([^<]*)</th><td>([^<]*)</td><td>([^<]*)</td>', first)
    ahead = {"75 %": "kcm", "50 %": "nas (moead)", "25 %": "nas (moead)"}
    assert winners[:3] == [("no recovery", *one) for one in ahead.items()]
    assert ("native recipe", "50 % non-zero", "deepcuts_cam") in winners
    assert "0.2000 ± 0.1414" in text  # two seeds of kcm
    recovered = "Equal short recovery: 1 epoch of distillation after the refit: 1 model,"
    for title in ("No recovery: 5 models,", recovered, "Native recipe: 2 models,"):
        assert f"<summary>{title}" in text
    page = tmp_path / "report.html"
    write_page(page, replace(one_layer(), comparison=facts))
    text = page.read_text(encoding="utf-8")
    assert "selection is held out &lt;of&gt; train" in text
    assert "best constant answer&#x27;s error (0.500)" in text
    assert "equal budgets</h2>" in text
