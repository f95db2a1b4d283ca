"""The README.md of an extracted model: what it is, what it scores on which split, how fast it is on what."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from ...errors import InputError
from ...search_space import EncoderShape, SubnetMask
from ..heads import auto_class
from ..stored.record import RECORD, Written

if TYPE_CHECKING:
    from ...tasks.kinds import Head

# As the hub names its pipelines.
_PIPELINES: dict[Head, str] = {
    "sequence-classification": "text-classification",
    "question-answering": "question-answering",
    "token-classification": "token-classification",
    "embedding": "sentence-similarity",
}
SERVED = "As it is served"  # title of the section of what was measured in each runtime
_HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")


@dataclass(frozen=True)
class CardFacts:
    """The numbers of a model card; the caller has measured them all.

    Attributes:
        name: the model's name, for example its folder.
        head: what it has.
        parent: the fine-tuned model it was cut from, a hub name or a folder.
        mask: what is kept of the parent.
        shape: of the parent's encoder.
        parameters, parent_parameters: of the whole models, embeddings included.
        task: name of the task.
        metric: name of the score; higher is better.
        selection: score on the selection split, which the search chose on; None if not measured.
        report: score by report split, each looked at once.
        parent_report: the parent's scores on the same splits; empty if not measured.
        latency_ms: median time of one batch in milliseconds, measured end to end; None if not measured.
        latency_conditions: device, threads, batch size, sequence length, precision and backend of `latency_ms`.
        method: how it was found: searcher or pruner, budget, seed.
        constant: says that it is no better than a constant answer; None if it is, or if that is not known.
        licence: the parent's, as the hub names it; None if not known.
        sections: further sections by their titles, such as what was measured in other runtimes; texts in Markdown.
    """

    name: str
    head: Head
    parent: str
    mask: SubnetMask
    shape: EncoderShape
    parameters: int
    parent_parameters: int
    task: str
    metric: str
    selection: float | None
    report: Mapping[str, float]
    parent_report: Mapping[str, float] = field(default_factory=dict)
    latency_ms: float | None = None
    latency_conditions: str = ""
    method: str = ""
    constant: str | None = None
    licence: str | None = None
    sections: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.latency_ms is not None and not self.latency_conditions:
            raise ValueError("a latency needs its conditions: device, threads, batch size, sequence length, precision")

    def to_json(self) -> dict[str, Any]:
        """Return all of it, JSON-ready; :func:`read_facts` reads it."""
        return {**vars(self), "mask": self.mask.to_json(), "shape": asdict(self.shape)}


def read_facts(stored: Mapping[str, Any], folder: Path) -> CardFacts:
    """Return facts that went through JSON.

    Raises:
        InputError: they are damaged; says in which folder.
    """
    try:
        mask, shape = SubnetMask.from_json(stored["mask"]), EncoderShape(**stored["shape"])
        return CardFacts(**{**stored, "mask": mask, "shape": shape})
    except (TypeError, KeyError, ValueError) as error:
        raise InputError(f"what {folder / RECORD} says of the card is damaged; get the checkpoint again") from error


def model_card(facts: CardFacts, form: Written, *, picture: str | None = None) -> str:
    """Return the text of README.md: metadata in the hub's format, then prose and tables.

    Needs no network. Scores become the card's `model-index`, each with its split.

    Args:
        facts: the numbers.
        form: of the checkpoint, which says how it is loaded.
        picture: name of a picture of the front that lies beside it.
    """
    results = [
        EvalResult(
            task_type=_PIPELINES[facts.head],
            dataset_type=facts.task,
            dataset_name=facts.task,
            dataset_split=split,
            metric_type=facts.metric.split()[0],  # without the class that it is of
            metric_value=round(value, 6),
        )
        for split, value in {"selection": facts.selection, **facts.report}.items()
        if value is not None
    ]
    data = ModelCardData(
        model_name=facts.name,
        library_name="sentence-transformers" if facts.head == "embedding" else "transformers",
        pipeline_tag=_PIPELINES[facts.head],
        license=facts.licence,
        base_model=facts.parent if _HUB_ID.fullmatch(facts.parent) else None,
        tags=["secateur", "pruned", "neural-architecture-search"],
        eval_results=results,
    )
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{_body(facts, form, picture)}"))


def _body(facts: CardFacts, form: Written, picture: str | None) -> str:
    kept = facts.mask.encoder_parameters(facts.shape) / facts.shape.encoder_parameters
    about = (
        f"A subnetwork of `{facts.parent}`, cut out by Secateur: it keeps {kept:.1%} of the encoder's parameters. "
        f"Subnetwork `{facts.mask.key}`."
    )
    if facts.method:
        about += f" Found by {facts.method}."
    warning = "" if facts.constant is None else f"\n{fill(f'**This model is {facts.constant}.**', 120)}\n"
    scores = f"{facts.metric} on {facts.task}, higher is better."
    if facts.selection is not None:
        scores += (
            " The *selection* split was held out of training and the search chose on it, so its score is optimistic; "
            "the other splits were looked at once."
        )
    return f"""# {facts.name}

{fill(about, 120)}
{warning}
## Load it

{_loading(facts, form)}

## Scores

{fill(scores, 120)}

{_scores(facts)}

## Size and speed

{_sizes(facts)}

## Architecture

The residual stream keeps {facts.mask.hidden_size} dimensions. A block that keeps nothing is dropped: its input passes
through.

{_architecture(facts)}
{_others(facts, picture)}
## Licence

{_licence(facts)}
"""


# What is said, imported and asked for, by form.
_LOADING: dict[Written, tuple[str, str, str]] = {
    "stock": ("A plain model: transformers is all it needs.", "", ""),
    "portable": (
        "With Secateur installed, `import secateur` makes the Auto classes know this architecture. Without it, "
        "`trust_remote_code=True` loads it by the small modelling file that lies beside the weights:",
        "",
        ", trust_remote_code=True",
    ),
    "secateur": ("`import secateur` makes the Auto classes know this architecture.", "import secateur\n", ""),
    "packed": ("Its matrices are stored without the zeros, which Secateur reads.", "", ""),
}


def _loading(facts: CardFacts, form: Written) -> str:
    """Say how the checkpoint is loaded, and run where transformers has a pipeline for its head."""
    said, imported, asked = _LOADING[form]
    if facts.head == "embedding" and form != "packed":
        return _loading_embedder(facts, said, imported, asked)
    name, kind, pipeline = facts.name, auto_class(facts.head), _PIPELINES[facts.head]
    if form == "packed":
        imports, model, tokenizer = "from secateur.supernet.stored.storage import ", "load_model", "load_tokenizer"
        imports += f"{model}, {tokenizer}"
    else:
        imports, model, tokenizer = (
            f"{imported}from transformers import ",
            f"{kind}.from_pretrained",
            "AutoTokenizer.from_pretrained",
        )
        imports += f"AutoTokenizer, {kind}"
    text = f"""{said}

```python
{imports}

model = {model}("{name}"{asked})
tokenizer = {tokenizer}("{name}"{asked})
```"""
    if form == "packed" or pipeline == "question-answering":  # transformers 5 has no pipeline that answers questions
        return text
    return f'{text}\n\nOr, for texts at once: `pipeline("{pipeline}", "{name}"{asked})`.'


def _loading_embedder(facts: CardFacts, said: str, imported: str, asked: str) -> str:
    """Say how a model that makes vectors is loaded: whole, and its encoder alone."""
    said = said.replace("transformers is all it needs", "sentence-transformers is all it needs")
    return f"""{said}

```python
{imported}from sentence_transformers import SentenceTransformer

model = SentenceTransformer("{facts.name}"{asked})
vectors = model.encode(["a text", "another one"])
```

`AutoModel.from_pretrained` loads its encoder alone, whose tokens' states are not pooled yet."""


def _others(facts: CardFacts, picture: str | None) -> str:
    sections = dict(facts.sections)
    if picture is not None:
        about = "Error against cost of the subnetworks that the search evaluated; this model is one of them."
        sections["The front"] = f"![The Pareto front]({picture})\n\n{about}"
    return "".join(f"\n## {title}\n\n{text}\n" for title, text in sections.items())


def _licence(facts: CardFacts) -> str:
    if facts.licence is None:
        return (
            f"The weights come from `{facts.parent}`, whose licence is not known here; see there before you share them."
        )
    return f"The weights come from `{facts.parent}` and stay under its licence, {facts.licence}."


def _scores(facts: CardFacts) -> str:
    rows = [] if facts.selection is None else [("selection", facts.selection, None)]
    rows += [(split, value, facts.parent_report.get(split)) for split, value in facts.report.items()]
    if not rows:
        return "Not measured."
    return markdown_table(
        ("split", "this model", "parent"),
        [(split, f"{value:.4f}", "" if parent is None else f"{parent:.4f}") for split, value, parent in rows],
    )


def _sizes(facts: CardFacts) -> str:
    kept, whole = facts.mask.encoder_parameters(facts.shape), facts.shape.encoder_parameters
    rows = [
        ("parameters", f"{facts.parameters:,}", f"{facts.parent_parameters:,}"),
        ("encoder parameters", f"{kept:,}", f"{whole:,}"),
    ]
    text = markdown_table(("", "this model", "parent"), rows)
    if facts.latency_ms is None:
        return text
    return f"{text}\n\nLatency: {facts.latency_ms:.3g} ms, measured end to end on {facts.latency_conditions}."


def _architecture(facts: CardFacts) -> str:
    pairs = enumerate(zip(facts.mask.heads_per_layer, facts.mask.neurons_per_layer, strict=True))
    rows = [(str(layer), str(heads or "dropped"), str(neurons or "dropped")) for layer, (heads, neurons) in pairs]
    return markdown_table(("layer", "heads", "neurons"), rows)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
