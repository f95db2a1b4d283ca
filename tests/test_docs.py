"""The documentation: its commands are carried out on a tiny model, its site is built as strictly as that goes."""

from __future__ import annotations

import ast
import importlib
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import typer
from secateur.cli import run_command
from secateur.cli.app import make_app
from secateur.tests.cli.conftest import FINETUNE, SUPERNET, inputs  # noqa: F401 (a fixture)

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
# In the order of a job: a page's commands go on with what those before it left in `runs/sst2`.
STAGES = ["finetune", "supernet", "search", "latency", "choose", "ladder", "prune", "compare", "report", "ship"]
PAGES = {str(path.relative_to(ROOT)): path for path in [*sorted(DOCS.rglob("*.md")), ROOT / "README.md"]}
# What makes the tiny model learn.
MORE = {
    "run": [*FINETUNE, *SUPERNET, "--search-budget", "8", "--ladder-steps", "4"],
    "finetune": FINETUNE,
    "supernet": SUPERNET,
}


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    title: str
    text: str

    @property
    def lines(self) -> list[str]:
        """Its lines, continued ones joined, without prompts."""
        return [line.removeprefix("$ ") for line in self.text.replace("\\\n", "").splitlines()]


def blocks(path: Path) -> list[Block]:
    pattern = r'^```(\w*)(?: title="(.*?)")?\n(.*?)^```$'
    return [Block(*parts) for parts in re.findall(pattern, path.read_text(), re.MULTILINE | re.DOTALL)]


def ours(block: Block) -> Iterator[list[str]]:
    """Yield the arguments of each `secateur` in a block of commands, whatever starts it."""
    if block.language in ("", "console", "bash"):
        for line in block.lines:
            started = re.match(r"(?:.* -m )?(?:\S*/)?secateur (.*)", line)
            if started:
                yield shlex.split(started[1], comments=True)


@pytest.fixture
def adapted(inputs):  # noqa: F811
    """Put the tiny model and its data in the place of a page's."""

    def adapt(words: list[str]) -> list[str]:
        line = [str(inputs.model) if word == "bert-base-uncased" else word for word in words]
        if "--task" in line and "--data" not in line:
            i = line.index("--task")
            line[i : i + 2] = ["--task", "local", "--data", str(inputs.data)]
        given = set(line)
        more = MORE.get(words[0], [])
        pairs = zip(more[::2], more[1::2], strict=True)
        return line + [
            word for pair in pairs if not {pair[0], f"--{pair[0].split('-', 3)[-1]}"} & given for word in pair
        ]

    return adapt


def carry_out(pages: list[str], adapted, tmp_path, monkeypatch, capsys) -> int:
    """Run the commands of all `bash` blocks of pages, one after another; return how many there were."""
    monkeypatch.chdir(tmp_path)
    count = 0
    for page in pages:
        for block in blocks(DOCS / f"{page}.md"):
            if block.language == "bash":
                found = list(ours(block))
                assert len(found) == len(block.lines), f"{page}: a bash block has nothing but commands of secateur"
                for words in found:
                    code = run_command(adapted(words))
                    assert code == 0, f"{page}: {shlex.join(words)}: {capsys.readouterr().err}"
                    count += 1
    return count


def test_the_commands_of_the_stages(adapted, tmp_path, monkeypatch, capsys):
    assert carry_out(STAGES, adapted, tmp_path, monkeypatch, capsys) > 20


def test_the_commands_of_the_first_page(adapted, tmp_path, monkeypatch, capsys):
    assert carry_out(["index"], adapted, tmp_path, monkeypatch, capsys) == 3
    assert (tmp_path / "my-model" / "model-int8.onnx").is_file()


def many(name: str, lines: list[str]) -> str:
    """Return a file's rows many times, each time with a number in a word: near-duplicates are kept together."""
    first = lines[:1] if name.endswith(".csv") else []
    word = r"^(\w+)(?= )" if name.endswith(".conll") else r"([A-Za-z])(?=[.,?])"
    rows = [re.sub(word, rf"\g<1>{i}", line, count=1) for i in range(20) for line in lines[len(first) :]]
    return "".join(first + rows)


def test_the_commands_and_the_python_about_your_own_data(adapted, inputs, tmp_path, monkeypatch, capsys):  # noqa: F811
    """The page's files, each row many times; its commands and its Python, one after another."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    page = blocks(DOCS / "your-data.md")
    for block in page:
        if block.title:
            Path(block.title).write_text(many(block.title, block.text.splitlines(keepends=True)))
        elif block.language == "python":
            exec(block.text.replace("bert-base-uncased", str(inputs.model)), {"__name__": "page"})
        elif block.language == "bash":
            for words in ours(block):
                assert run_command(adapted(words)) == 0, f"{shlex.join(words)}: {capsys.readouterr().err}"
        else:
            assert block.language in (
                "console",
                "csv",
            )  # of a model that is fine-tuned before; and what files look like
    runs = {path.parent.name for path in Path("runs").glob("*/finetuned")}
    own = {"reviews", "stars", "pairs", "posts", "columns", "mine", "answers", "people", "rooms", "sentences"}
    assert runs == own | {"in-memory", "films"}
    origin = json.loads(Path("runs/films/run.json").read_text())["facts"]["data"]
    assert origin == "films, 1 March"


def test_no_page_is_passed_over():
    with_commands = {name for name, path in PAGES.items() if any(b.language == "bash" for b in blocks(path))}
    assert with_commands == {f"docs/{page}.md" for page in [*STAGES, "index", "your-data"]}


@pytest.mark.parametrize("page", PAGES)
def test_all_other_commands_can_be_read(page):
    """Commands that need the hub, a cluster or hours: their options and values are known."""
    app = typer.main.get_command(make_app())
    for block in blocks(PAGES[page]):
        for name, *words in ours(block):
            app.commands[name].make_context(name, list(words))  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("page", PAGES)
def test_benchmarks_that_are_named_can_be_started(page):
    for name, given in re.findall(r"python -m secateur\.benchmarks\.(\w+)([^`$]*)", PAGES[page].read_text()):
        app = typer.Typer()
        app.command()(importlib.import_module(f"secateur.benchmarks.{name}").main)
        words = shlex.split(re.sub(r"[\[\]]", "", given))  # what may be left out
        command = typer.main.get_command(app)
        if words:  # else it is named, not called
            command.make_context(name, words)


@pytest.mark.parametrize("page", PAGES)
def test_python_can_be_read(page):
    for block in blocks(PAGES[page]):
        if block.language == "python":
            ast.parse(block.text)


def test_the_site(tmp_path):
    """Built strictly: each link, anchor and name of the API leads somewhere."""
    pytest.importorskip("mkdocstrings_handlers.python", reason="the extra `docs` is not installed")
    pytest.importorskip("material")
    command = [sys.executable, "-W", "ignore", "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir"]
    done = subprocess.run([*command, str(tmp_path / "site")], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "site" / "api" / "supernet.html").read_text()
    assert 'id="secateur.supernet.training.supernet_training.train_supernet"' in page
    assert "learning_rate" in page  # fields of the settings
    pages = [path.read_text() for path in (tmp_path / "site").rglob("*.html")]
    outside = [link for text in pages for link in re.findall(r'(?:src|<link[^>]* href)="(https?://[^"]+)"', text)]
    assert not outside  # nothing is fetched
