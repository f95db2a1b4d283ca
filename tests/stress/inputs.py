"""Malformed option values, settings, data and models: one line and exit code 2, or a result; no traceback, no hang.

    python -m secateur.tests.stress.inputs --count 5000 --seed 0 [--place /tmp/secateur-stress]

Commands run in this process. One that is still at work after `--seconds` is interrupted as Ctrl-C does: it must end at
once with exit code 130. Rounds are independent of each other: `--first N` leaves the ones before out.
"""

from __future__ import annotations

import gzip
import json
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Annotated

import numpy as np
import typer
from secateur.cli.app import COMMANDS, make_app
from secateur.tests.cli.conftest import Inputs, sentences
from typer.main import get_command

from .common import Outcome, Summary, call, finished_run

VALUES = ["", " ", "nan", "inf", "-inf", "-1", "0", "1e400", "1e-400", "1e12", "99999999999999999999"]
VALUES += ["-99999999999999999999", "a", "a,b", ",", "1,,2", "1/0", "0/1", "3/2", "0.5,nan", "1e3,1e3", "None", "null"]
VALUES += ["true", "[]", "{}", "[1", "..", "/", "/dev/null", "-", "--", "%s", "$(id)", "'", '"', "\n", "\x00", "\udc80"]
VALUES += ["\U0001f642", "é" * 300, "x" * 5000]
VALUES += [
    "1",
    "2",
    "7",
    "0.5",
    "1e-3",
    "1/2",
    "0.9,0.1",
    "error,macs",
    "kcm",
    "random",
    "small",
    "float32",
]  # good ones
SETTINGS = b"seed: 1\nfinetune:\n  epochs: 1\nsearch:\n  budget: 3\n  objectives: error,macs\nladder:\n  steps: 2\n"
KINDS = ("option", "option", "option", "settings", "data", "data", "model")
GRACE = 20.0  # seconds in which an interrupted command must be at its end


def main(
    count: Annotated[int, typer.Option(help="inputs")] = 5000,
    seed: Annotated[int, typer.Option(help="of the inputs")] = 0,
    first: Annotated[int, typer.Option(help="the number of the first one")] = 0,
    seconds: Annotated[float, typer.Option(help="after which a command is interrupted")] = 10.0,
    place: Annotated[Path, typer.Option(help="where the run is kept")] = Path("/tmp/secateur-stress"),
) -> None:
    """Give inputs and look at what comes."""
    place.mkdir(parents=True, exist_ok=True)
    inputs, finished = finished_run(place)
    run, new = place / "given", place / "new"
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(finished, run)
    options = {name: _options(name) for name in COMMANDS}
    summary = Summary("inputs", count)
    for number in range(first, first + count):
        rng = np.random.default_rng([seed, number])
        shutil.rmtree(new, ignore_errors=True)
        kind = KINDS[int(rng.integers(len(KINDS)))]
        command = _command(kind, rng, inputs, run, new, place, options)
        outcome, late = _limited(command, seconds)
        told = f"input {number}, {kind}: {[str(word)[:80] for word in command]}: {outcome.code}: {outcome.err[-500:]}"
        wrong = outcome.is_traceback or late or outcome.code not in (0, 2, 130)
        lines = [line for line in outcome.err.splitlines() if line.startswith("secateur: ")]
        wrong = wrong or (outcome.code == 2 and len(lines) != 1)
        names = {0: "taken", 2: "refused", 130: "long, interrupted"}
        summary.add(names.get(outcome.code, "others"), told if wrong else None)
        if outcome.code != 2:  # it may have written
            shutil.rmtree(run, ignore_errors=True)
            shutil.copytree(finished, run)
    raise typer.Exit(summary.close())


def _options(name: str) -> list[str]:
    """Return the options of a command that take a value."""
    group = get_command(make_app([name, "front"]))
    parameters = group.commands[name].params  # pyright: ignore[reportAttributeAccessIssue]
    return [one.opts[0] for one in parameters if one.opts[0].startswith("--") and not getattr(one, "is_flag", False)]


def _command(
    kind: str,
    rng: np.random.Generator,
    inputs: Inputs,
    run: Path,
    new: Path,
    place: Path,
    options: dict[str, list[str]],
) -> list[object]:
    if kind in ("data", "model"):
        short = ["--epochs", "0.05", "--seed", "0"]
        data = _data(rng, inputs, place / "bad") if kind == "data" else inputs.data
        model = _model(rng, inputs, place / "model") if kind == "model" else inputs.model
        task = "tagging" if data.suffix in (".conll", ".txt") else "local"
        return ["finetune", "--model", model, "--task", task, "--data", data, "--out", new, *short]
    if kind == "settings":
        path = place / "settings.yaml"
        path.write_bytes(_mutated(rng, SETTINGS))
        return ["run", "--config", path, "--out", run]
    name = list(COMMANDS)[int(rng.integers(len(COMMANDS)))]
    needed: dict[str, list[object]] = {
        "run": [*inputs.project(run)],
        "finetune": [*inputs.project(run)],
        "prune": [run, "--method", "rank_random", "--density", "0.9"],
        "pick": [run, "--error", "0.9", "--as-measured"],
        "extract": [run, "--error", "0.9", "--to", place / "cut"],
        "export": [run, "--error", "0.9", "--to", place / "cut"],
        "nest": [run, "--to", place / "family"],
        "recover": [run, run / "subnets", "--to", place / "cut"],
        "convert": [run / "finetuned", "--to", place / "cut"],
        "vocabulary": [run / "finetuned", "--data", inputs.data, "--to", place / "cut"],
        "bench": [run / "finetuned"],
    }
    words = [name, *needed.get(name, [run])]
    for _ in range(int(rng.integers(1, 3))):
        words += [options[name][int(rng.integers(len(options[name])))], VALUES[int(rng.integers(len(VALUES)))]]
    return words


def _data(rng: np.random.Generator, inputs: Inputs, folder: Path) -> Path:
    """Write a file of data that something is wrong with."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows = sentences(60)
    texts = {
        "csv": "text,label\n" + "".join(f"{text},{label}\n" for text, label in rows),
        "tsv": "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows),
        "jsonl": "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows),
        "json": json.dumps([{"text": text, "label": label} for text, label in rows]),
        "conll": "".join(f"{word} B-{label}\n" for text, label in rows for word in (*text.split(), "\n")),
        "parquet": "PAR1",
        "txt": "text",
    }
    ending = list(texts)[int(rng.integers(len(texts)))]
    path = folder / f"train.{ending}"
    content = _mutated(rng, texts[ending].encode())
    if ending in ("csv", "jsonl") and rng.random() < 0.2:
        path = path.with_name(f"{path.name}.gz")
        content = gzip.compress(content)
        content = _mutated(rng, content) if rng.random() < 0.5 else content
    path.write_bytes(content)
    return path


def _model(rng: np.random.Generator, inputs: Inputs, folder: Path) -> Path:
    """Write a model one file of which is changed."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(inputs.model, folder)
    files = sorted(folder.iterdir())
    path = files[int(rng.integers(len(files)))]
    path.write_bytes(_mutated(rng, path.read_bytes()))
    return folder


def _mutated(rng: np.random.Generator, content: bytes) -> bytes:
    """Change bytes: some, a stretch left out, twice or cut off, or a word for another."""
    changed, at = bytearray(content), int(rng.integers(len(content)))
    match int(rng.integers(7)):
        case 0:
            for place in rng.integers(len(content), size=int(rng.integers(1, 6))):
                changed[place] = int(rng.integers(256))
        case 1:
            del changed[at : at + int(rng.integers(1, 30))]
        case 2:
            changed[at:at] = changed[at : at + int(rng.integers(1, 30))]
        case 3:
            del changed[at:]
        case 4:
            changed[at:at] = str(VALUES[int(rng.integers(len(VALUES)))]).encode("utf-8", "surrogatepass")
        case 5:
            changed = bytearray(rng.bytes(len(content)))
        case _:
            changed = bytearray(
                content.decode(errors="replace").encode(["utf-16", "latin-1", "utf-8-sig"][at % 3], "replace")
            )
    return bytes(changed)


def _limited(command: list[object], seconds: float) -> tuple[Outcome, bool]:
    """Run a command, interrupt it when its time is up, and tell whether it then took long to end."""
    late = threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_REAL, GRACE / 4)  # a library may swallow it
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    begin = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        outcome = call(command)
    except KeyboardInterrupt:
        outcome = Outcome(130, "", "")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    if time.monotonic() - begin > seconds + GRACE:
        late.set()
    return outcome, late.is_set()


if __name__ == "__main__":
    sys.exit(typer.run(main))
