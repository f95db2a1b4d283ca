"""The whole job, and its stages one by one, on a tiny model and data that it can learn."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from itertools import permutations
from pathlib import Path

import pytest
from secateur.evaluation.archive import Archive
from secateur.searchers import AUTO
from secateur.supernet.shipping.checkpoint import card_of
from secateur.supernet.stored.record import read_record
from secateur.supernet.stored.storage import load_model

from .conftest import FINETUNE, SEARCH, SUPERNET, archive_rows, record, sentences, write_csv

COSTS = ("encoder_parameters", "parameters", "macs", "latency_ms")
STEP = re.compile(r": \d+/\d+")  # of a Ticker, as in "search (nsga2): 3/10"; a path has no colon before it
SHORT = ["--finetune-epochs", "1", "--supernet-epochs", "1", "--search-budget", "4", "--finetune-batch-size", "64"]


def front_of(call, run: Path, *options: str) -> list[dict]:
    result = call("front", run, "--json", *options)
    assert result.code == 0, result.err
    assert result.err == ""
    return json.loads(result.out)


def key_in(text: str) -> str:
    return text.split()[0]


def test_a_run_leaves_a_folder(finished):
    for name in ("run.json", "finetuned", "supernet", "archive.db", "report.html"):
        assert (finished / name).exists(), name
    assert len(list((finished / "latency").glob("*.json"))) == 1
    (subnet,) = (finished / "subnets").iterdir()
    for folder in (finished / "finetuned", finished / "supernet", subnet):
        held = {path.name for path in folder.iterdir()}
        assert {"config.json", "model.safetensors", "tokenizer.json"} <= held
    assert (subnet / "README.md").exists()
    left_over = [path.name for path in finished.iterdir() if path.name.startswith(".") or "state" in path.name]
    assert left_over == []
    stages = record(finished)["stages"]
    assert [stages[name]["complete"] for name in ("finetune", "supernet", "search")] == [True] * 3
    assert all(stage["seconds"] > 0 for stage in stages.values())


def test_the_same_command_again_recomputes_nothing(copied, inputs, call):
    def contents() -> dict[str, bytes]:
        kept = [path for path in copied.rglob("*") if path.is_file() and path.suffix in (".db", ".safetensors")]
        return {str(path.relative_to(copied)): path.read_bytes() for path in (*kept, copied / "run.json")}

    before = contents()
    result = call(*inputs.run(copied))
    assert result.code == 0
    assert contents() == before
    for stage in ("finetune", "supernet", "search"):
        assert f"{stage}: complete, in {copied}" in result.err
    assert STEP.search(result.err) is None


def test_front_prints_json(finished, call):
    points = front_of(call, finished)
    assert len(points) >= 2
    wanted = {"key", "heads", "neurons", "hidden", "error_selection", "error_report", "latency_ms", *COSTS}
    for point in points:
        assert wanted <= set(point)
        assert len(point["heads"]) == len(point["neurons"]) == 3
        assert point["hidden"] == 16
        assert all(isinstance(point[name], int) for name in ("parameters", "encoder_parameters", "macs", "hidden"))
    assert points == sorted(points, key=lambda point: point["error_selection"])
    assert points[0]["error_report"] < 0.2  # it has learned something
    assert points[-1]["encoder_parameters"] > 0  # the network without layers says the same of every text


@pytest.mark.parametrize("cost", COSTS)
def test_nothing_on_the_front_beats_another(finished, call, cost):
    predicted = "latency_predicted_ms" if cost == "latency_ms" else cost  # a search sees the table's prediction
    for a, b in permutations(front_of(call, finished, "--against", cost), 2):
        assert a["error_selection"] > b["error_selection"] or a[predicted] > b[predicted]


@pytest.mark.parametrize("cost", ["encoder_parameters", "macs", "latency_ms"])
def test_front_prints_the_best_within_shares_of_the_whole_network(finished, call, cost):
    points = front_of(call, finished, "--against", cost)
    whole, *best = front_of(call, finished, "--against", cost, "--shares", "1,3/4,0.5")
    assert min(whole["heads"]) == max(p["heads"][0] for p in [*points, whole])
    assert min(whole["neurons"]) == max(p["neurons"][0] for p in [*points, whole])
    for share, one in zip((1, 0.75, 0.5), best, strict=True):
        within = [p for p in points if p[cost] <= share * whole[cost]]
        assert one[cost] <= share * whole[cost]
        assert one in within or cost == "latency_ms"  # a front is of predictions, the shares are of measurements
        assert all(one["error_selection"] <= p["error_selection"] for p in within)


def test_front_prints_a_table(finished, call):
    result = call("front", finished)
    assert result.code == 0
    for point in front_of(call, finished):
        assert point["key"] in result.out
        assert f"{point['error_report']:.4f}" in result.out


PLAIN = """
import json, sys
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
import secateur
task = json.load(sys.stdin)
found = []
for folder in task["folders"]:
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    wrong = 0
    for text, label in task["rows"]:
        with torch.no_grad():
            logits = model(**tokenizer(text, return_tensors="pt")).logits
        wrong += model.config.id2label[int(logits.argmax())] != label
    layers = sum(p.numel() for name, p in model.named_parameters() if "encoder.layer" in name)
    found.append([type(model).__name__, sum(p.numel() for p in model.parameters()), layers, wrong / len(task["rows"])])
print(json.dumps(found))
"""


def test_extracted_models_are_what_the_front_says(finished, call, tmp_path):
    """In a new process with plain transformers: each loads, has that many parameters, and makes that error."""
    points = front_of(call, finished)
    folders = [str(tmp_path / point["key"]) for point in points]
    for point, folder in zip(points, folders, strict=True):
        assert call("extract", finished, "--key", point["key"], "--to", folder).code == 0
    work = json.dumps({"folders": folders, "rows": sentences(64, seed=1)})
    command = [sys.executable, "-W", "error", "-c", PLAIN]
    done = subprocess.run(command, input=work, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    for point, folder, (kind, parameters, layers, error) in zip(points, folders, json.loads(done.stdout), strict=True):
        form = read_record(Path(folder)).form
        assert kind == f"{'Extracted' if form == 'portable' else ''}BertForSequenceClassification"
        assert parameters == point["parameters"]
        assert layers == point["encoder_parameters"]
        assert error == pytest.approx(point["error_report"], abs=1e-12)


def test_pick_by_a_stored_latency(finished, call):
    """A front over latency is one of predictions; what is chosen by is what was measured, of all that was."""
    with Archive(finished / "archive.db") as archive:
        errors = {one.key: one.values["error"] for one in archive.evaluations(split="selection")}
        measured = {one.key: one.values["latency_ms"] for one in archive.evaluations(split="report")}
    limit = sorted(measured.values())[len(measured) // 2]
    expected = min(errors[key] for key, latency in measured.items() if latency <= limit)
    result = call("pick", finished, "--latency-ms", repr(limit), "--as-measured")
    assert errors[key_in(result.out)] == expected
    assert measured[key_in(result.out)] <= limit


@pytest.mark.parametrize("cost", [cost for cost in COSTS if cost != "latency_ms"])
def test_pick_by_a_cost(finished, call, cost):
    points = front_of(call, finished, "--against", cost)
    limit = sorted(point[cost] for point in points)[len(points) // 2] * (1 + 1e-5)  # printed with six digits
    expected = min((p for p in points if p[cost] <= limit), key=lambda p: (p["error_selection"], p[cost]))
    result = call("pick", finished, f"--{cost.replace('_', '-')}", limit, "--as-measured")
    assert result.code == 0
    assert key_in(result.out) == expected["key"]
    ordered = sorted(points, key=lambda point: point[cost])
    at = ordered.index(expected)
    for neighbour in ordered[max(0, at - 1) : at + 2]:
        assert neighbour["key"] in result.out
    assert f"secateur extract {finished} --key {expected['key']}" in result.out


def test_pick_by_error(finished, call):
    points = front_of(call, finished)
    expected = min((p for p in points if p["error_selection"] <= 0.3), key=lambda p: p["encoder_parameters"])
    assert key_in(call("pick", finished, "--error", 0.3, "--as-measured").out) == expected["key"]


def test_pick_by_several_budgets(finished, call):
    points = front_of(call, finished)
    middle = points[len(points) // 2]
    options = ["--parameters", middle["parameters"], "--macs", 1e9, "--error", 0.9]
    result = call("pick", finished, *options, "--as-measured")
    assert key_in(result.out) == middle["key"]
    assert "parameters <= " in result.out
    assert "macs <= 1e+09 and error <= 0.9" in " ".join(result.out.split())  # folded at spaces


def test_extract_by_a_budget(copied, call):
    shutil.rmtree(copied / "subnets")
    key = key_in(call("pick", copied, "--error", 0.3, "--as-measured").out)
    result = call("extract", copied, "--error", 0.3)
    assert result.code == 0
    assert f'from_pretrained("{copied / "subnets" / key}")' in result.out
    assert card_of(copied / "subnets" / key).mask.key == key
    load_model(copied / "subnets" / key)
    assert call("extract", copied, "--error", 0.3).code == 0  # once more: replaced


def test_a_fine_tuned_model_is_taken_as_it_is(finished, inputs, call, tmp_path):
    result = call("finetune", *inputs.project(tmp_path / "run", model=finished / "finetuned"), *FINETUNE)
    assert result.code == 0
    assert "is taken for a fine-tuned model" in result.err
    assert "finetune: 1/" not in result.err
    weights = Path("finetuned", "model.safetensors")
    assert (tmp_path / "run" / weights).read_bytes() == (finished / weights).read_bytes()
    again = call("finetune", *inputs.project(tmp_path / "other"), *SHORT[:2])
    assert "is taken for a pre-trained model" in again.err


def test_stages_alone_give_what_run_gives(finished, inputs, call, tmp_path):
    run = tmp_path / "run"
    assert call("finetune", *inputs.project(run), *FINETUNE).code == 0
    assert call("supernet", run, *SUPERNET).code == 0
    shutil.copytree(finished / "latency", run / "latency")  # measured, so never the same twice
    assert call("search", run, *SEARCH).code == 0
    assert archive_rows(run) == archive_rows(finished)
    assert (run / "supernet/model.safetensors").read_bytes() == (finished / "supernet/model.safetensors").read_bytes()


def test_a_longer_budget_continues_a_search(finished, copied, call, tmp_path):
    longer = [*SEARCH, "--search-budget", "14"]
    assert call("search", copied, *longer).code == 0
    before, after = archive_rows(finished, "selection"), archive_rows(copied, "selection")
    assert len(after) > len(before)
    assert [row[0] for row in after[: len(before)]] == [row[0] for row in before]
    fresh = shutil.copytree(finished, tmp_path / "fresh", ignore=shutil.ignore_patterns("archive.db"))
    assert call("search", fresh, *longer).code == 0
    assert archive_rows(fresh, "selection") == after


def test_another_searcher_adds_to_the_archive(finished, copied, call):
    assert call("search", copied, *SEARCH, "--search-searcher", "random").code == 0
    before, after = archive_rows(finished), archive_rows(copied)
    assert after[: len(before)] == before
    assert {row[3] for row in after} == {AUTO, "random", "front"}
    front_of(call, copied)


def numbered(count: int) -> list[tuple[str, float]]:
    return [(text, text.count("good") - text.count("bad") + 0.5) for text, _ in sentences(count)]


def pairs(count: int) -> list[dict]:
    rows = sentences(2 * count)
    return [
        {"first": a, "second": b, "same": "yes" if x == y else "no"}
        for (a, x), (b, y) in zip(rows[::2], rows[1::2], strict=True)
    ]


def test_regression_in_the_small_space_with_elastic_width(inputs, call, tmp_path):
    data = write_csv(tmp_path / "data.csv", ["body", "stars"], numbered(160))
    columns = {"text_column": "body", "label_column": "stars"}
    options = [*inputs.run(tmp_path / "run", data=data, **columns), *SHORT, "--supernet-elastic-hidden"]
    assert call(*options).code == 0
    assert record(tmp_path / "run")["facts"]["metric"] == "spearman"
    with Archive(tmp_path / "run" / "archive.db") as archive:
        assert len({one.mask.hidden_size for one in archive.evaluations()}) > 2


def test_pairs_from_jsonl_in_the_medium_space(inputs, call, tmp_path):
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pairs(80)))
    columns = {"text_column": "first", "text_pair_column": "second", "label_column": "same", "metric": "f1"}
    command = inputs.run(tmp_path / "run", data=tmp_path / "data.jsonl", **columns)
    assert call(*command, *SHORT, "--supernet-space", "medium").code == 0
    assert {row[2] for row in archive_rows(tmp_path / "run")} == {"medium"}
    front_of(call, tmp_path / "run")


def write_parquet(path: Path, rows: list[dict]) -> None:
    import pyarrow
    import pyarrow.parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def test_parquet_in_the_large_space(inputs, call, tmp_path):
    for split, count in (("train", 120), ("validation", 40)):
        rows = [{"text": text, "label": int(label == "pos")} for text, label in sentences(count)]
        write_parquet(tmp_path / "data" / f"{split}.parquet", rows)
    command = inputs.run(tmp_path / "run", data=tmp_path / "data")
    assert call(*command, *SHORT, "--supernet-space", "large", "--search-objectives", "error,macs,latency_ms").code == 0
    front_of(call, tmp_path / "run")


def test_a_fine_tuned_model_in_the_layer_space(finished, inputs, call, tmp_path):
    command = inputs.run(tmp_path / "run", model=finished / "finetuned")
    assert call(*command, *SHORT, "--supernet-space", "layer", "--search-searcher", "local").code == 0
    kept = {count for point in front_of(call, tmp_path / "run") for count in point["heads"]}
    assert 4 in kept
    assert kept <= {0, 4}


def test_mnli_reports_on_two_sets(inputs, call, tmp_path):
    for split, count in (("train", 90), ("validation_matched", 30), ("validation_mismatched", 33)):
        rows = [{"premise": a, "hypothesis": "good", "label": i % 3} for i, (a, _) in enumerate(sentences(count))]
        write_parquet(tmp_path / "glue" / "mnli" / f"{split}.parquet", rows)
    result = call(*inputs.run(tmp_path / "run", task="mnli", data=tmp_path / "glue"), *SHORT)
    assert result.code == 0
    assert (
        "30 validation_matched, 33 validation_mismatched (report split: the published validation split)" in result.err
    )
    for row in archive_rows(tmp_path / "run", "report"):
        values = dict(row[8:])
        both = [values["error_validation_matched"], values["error_validation_mismatched"]]
        assert values["error"] == pytest.approx(sum(both) / 2)
