"""The README's tables and pictures, made anew from the defaults: no number there is older than its code.

    python -m secateur.benchmarks.results --data GLUE_FOLDER [--parts run,sst2,cola,stsb,qnli] [--folder runs/results]

- `run`: fine-tuning and ladder on 8,000 rows of SST-2, the methods that search nothing beside it, and an export of the
  best model with half of the encoder, quantised. The pictures of the front and of the methods go to `docs/`.
- `sst2`: what the ladder keeps of the whole model's score, three seeds (`benchmarks/front_quality.py`), of which the
  first is the run above.
- `cola`, `stsb`, `qnli`: the same, one seed.

What was found is kept in `docs/results/readme.json`, with the machine and the revision that made it; sections of the
README and of `docs/results/front-quality.md` between `<!-- results: NAME -->` and `<!-- end -->` are written from that
file alone. To be run on a machine that does nothing else, with OMP_NUM_THREADS=1: seconds are the processor's, and
another number of threads makes other models. Hours in all; what is in the folder is not made again, so that another
revision wants another folder.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from ..cli.console import TERMINAL, say
from ..errors import unknown_name
from ..evaluation.latency import machine_name
from ..run.choice.columns import Column
from ..run.run import Run
from ..run.settings.ladder import SHARES
from .front_quality import Recipe, measured, open_seed

ROOT = Path(__file__).parents[1]
FACTS = ROOT / "docs" / "results" / "readme.json"
PAGES = ROOT / "README.md", ROOT / "docs" / "results" / "front-quality.md"
_PICTURES = {"front.png": "front-sst2.png", "compare.png": "compare.png"}
_RIVALS = (
    (("rank_magnitude", "rank_fisher", "rank_cam", "mask_tuning"), (0.8, 0.6, 0.4, 0.2)),
    (("ziplm",), (0.75, 0.5, 0.25)),
    (("kcm",), (0.8, 0.6, 0.4)),
)
_SECTION = re.compile(r"(<!-- results: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True)
class Front:
    """A task that the ladder is judged on.

    Attributes:
        title: with its number of rows, where that is not all.
        seeds: that are run.
        train_limit: most rows to train on.
    """

    title: str
    seeds: tuple[int, ...]
    train_limit: int = 8000


FRONTS = {
    "sst2": Front("SST-2", (0, 1, 2)),
    "cola": Front("CoLA", (0,)),
    "stsb": Front("STS-B", (0,)),
    "qnli": Front("QNLI, 1,600 rows", (0,), 2000),
}


def filled(text: str, facts: Mapping[str, Any]) -> str:
    """Return a text whose sections are what the facts say; those of parts that were not made stay.

    Args:
        text: Markdown with sections.
        facts: as in FACTS.
    """
    sections = {"run": _run_section, "export": _export_section, "fronts": _fronts_section}

    def section(found: re.Match[str]) -> str:
        parts = FRONTS if found[2] == "fronts" else ("run",)
        made = any(part in facts for part in parts)
        return f"{found[1]}\n{sections[found[2]](facts)}\n\n{found[3]}" if made else found[0]

    return _SECTION.sub(section, text)


def _run_section(facts: Mapping[str, Any]) -> str:
    return f"{_table(facts['run']['rungs'])}\n\n{_origin(facts['run'])}"


def _export_section(facts: Mapping[str, Any]) -> str:
    return _table(facts["run"]["export"])


def _fronts_section(facts: Mapping[str, Any]) -> str:
    found = {name: facts[name] for name in FRONTS if name in facts}
    shares = [row["share"] for row in next(iter(found.values()))["rows"] if row["method"] == "ladder"]
    table = {"encoder": shares}
    rungs = {name: {row["share"]: row for row in of["rows"] if row["method"] == "ladder"} for name, of in found.items()}
    for name, rows in rungs.items():
        front = FRONTS[name]
        several = f"{len(front.seeds)} seeds" if len(front.seeds) > 1 else "1 seed"
        table[f"{front.title} ({several})"] = [f"{rows[share]['of_whole']:.1%}" for share in shares]
    table["mean"] = [f"{sum(rows[share]['of_whole'] for rows in rungs.values()) / len(rungs):.1%}" for share in shares]
    seconds = [[rows[share]["seconds"] for rows in rungs.values()] for share in shares]
    table["CPU seconds"] = [f"{min(some):.0f} to {max(some):.0f}" for some in seconds]
    wholes = {name: next(row for row in of["rows"] if row["method"] == "whole") for name, of in found.items()}
    whole = ", ".join(f"{FRONTS[name].title.split(',')[0]} {100 * row['score']:.1f}" for name, row in wholes.items())
    origins = "\n".join(f"{FRONTS[name].title}: {_origin(of)}" for name, of in found.items())
    return f"{_table(table)}\n\nThe whole models' scores x 100: {whole}.\n{origins}"


def _origin(of: Mapping[str, Any]) -> str:
    return f"Made on {of['made']} by revision {of['revision']} on {of['machine']}."


def _table(columns: Mapping[str, list[str]]) -> str:
    """Return a table in Markdown, one column for each key."""
    lines = [columns, ["---"] * len(columns), *zip(*columns.values(), strict=True)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _run(folder: Path, data: Path | None) -> Iterator[tuple[str, Any]]:
    run = Run(open_seed(_project("sst2", data), 0, folder).run.path, tell=TERMINAL)
    rungs = run.ladder(shares=f"1,{SHARES}")
    for methods, densities in _RIVALS:
        run.prune(methods, densities)
    run.compare()
    run.report()
    for name, kept in _PICTURES.items():
        shutil.copyfile(run.path / name, ROOT / "docs" / kept)
    # Times depend on what else ran then; those of the export are taken in turn.
    yield "rungs", _cells([column for column in rungs.columns if column.head not in ("took", "ms")])
    half = rungs[0].encoder_parameters / 2
    exported = run.export(folder / "exported", encoder_parameters=half, onnx=True, int8=True)
    yield "export", _cells(exported.columns)


def _cells(columns: list[Column]) -> dict[str, list[str]]:
    return {column.head: list(column.cells) for column in columns}


def _front(name: str, folder: Path, data: Path | None) -> Iterator[tuple[str, Any]]:
    seeds = [open_seed(_project(name, data), number, folder) for number in FRONTS[name].seeds]
    yield "rows", measured(seeds, Recipe(methods=("ladder", "words")))


def _project(name: str, data: Path | None) -> dict[str, Any]:
    return {"task": name, "data": data, "train_limit": FRONTS[name].train_limit}


def _revision(folder: Path) -> str:
    """Return the revision that began a folder: what is in it is not made again."""
    path = folder / "revision"
    if not path.is_file():
        asked = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(subprocess.run(asked, check=True, capture_output=True, text=True).stdout)
    return path.read_text().strip()


def main(
    data: Annotated[Path | None, typer.Option(help="folder of GLUE's parquet files; the hub if not given")] = None,
    parts: Annotated[str, typer.Option(help="what to make")] = f"run,{','.join(FRONTS)}",
    folder: Annotated[Path, typer.Option(help="runs, and what is done")] = Path("runs/results"),
) -> None:
    """Make the parts, then write what was found and the README's sections."""
    makers: dict[str, Callable[[], Iterator[tuple[str, Any]]]] = {"run": lambda: _run(folder, data)}
    makers |= {name: lambda name=name: _front(name, folder, data) for name in FRONTS}
    for part in parts.split(","):
        if part not in makers:
            raise unknown_name("part", part, makers)
        revision = _revision(folder)
        made = dict(makers[part]())
        facts = json.loads(FACTS.read_text()) if FACTS.is_file() else {}
        facts[part] = {"made": f"{date.today()}", "revision": revision, "machine": machine_name(), **made}
        FACTS.write_text(json.dumps(facts, indent=1) + "\n")
        for page in PAGES:
            page.write_text(filled(page.read_text(), facts))
        say(f"{part}: in {FACTS} and {', '.join(map(str, PAGES))}")


if __name__ == "__main__":
    typer.run(main)
