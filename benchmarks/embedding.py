"""How small all-MiniLM-L6-v2 gets as what it is, a maker of vectors, from texts without labels.

    python -m secateur.benchmarks.embedding DATA [--out runs/embedding] [--shares 2/3,1/2,1/3,1/6] [--steps 200]
        [--texts 1500] [--json]

DATA holds GLUE's parquet files in `glue/` and SQuAD's in `squad/`. Of SST-2, of QNLI's questions and sentences and of
SQuAD's contexts so many texts each are drawn (`--texts`) and trained on, without their labels. A ladder is made, and
beside it the first k layers, each also cut from the one above it, with the same distillation for as many seconds of the
processor as the rung of the same place took, its cut and refit included; and as a floor a table with a vector of each
token, what the whole model makes of the token alone, whose mean is a text's vector.

Printed are, of each: the mean cosine with the whole model's vectors on the sentences of STS-B's validation split,
Spearman's correlation there in percent of the whole model's, and of questions and contexts of SQuAD's validation split
the share of the whole model's ten nearest contexts that are among the ten nearest, and nDCG@10 of the context that a
question is about. The intervals are of a paired bootstrap over pairs and questions, 1000 draws. Latencies are medians
of models timed in turn, one text of 128 tokens in PyTorch, float32, one thread. What was found is kept in `--out`: a
benchmark that was killed goes on where it was.
"""

from __future__ import annotations

import copy
import json as to_json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
import typer
from numpy.typing import NDArray
from scipy.stats import bootstrap
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..evaluation.latency import Bench, LatencyTarget, machine_name
from ..evaluation.model_error import model_outputs
from ..run.project import load_supernet
from ..run.run import Run
from ..run.settings.ladder import LadderSettings
from ..run.settings.recovery import RecoverOptions
from ..run.ship.recovery import distilled
from ..run.telling import SILENT
from ..search_space import SubnetMask
from ..supernet import Supernet
from ..supernet.extraction import extract, put_back
from ..supernet.stored.storage import load_model, load_tokenizer, save_model
from ..tasks import METRICS, Split, Windows
from ..tasks.examples import Examples, Retrieval
from ..tasks.kinds import embedding
from ..tasks.metrics import Metric
from ..tasks.neighbours import directions, nearest, retrieval
from .common import JsonOption, Known, console, show

_LONGEST = 256  # tokens, as the model's own files say
_CONTEXTS = 300  # of SQuAD's validation split, with a question each
_PROBED = 4  # steps that tell how long one takes
_RESAMPLES = 1000
WHOLE, TABLE = "whole model", "token table"


@dataclass(frozen=True)
class Data:
    """What models are held against.

    Attributes:
        pairs: STS-B's validation split.
        retrieval: questions before contexts.
        gold: of each question the context it is about.
        pad: the padding token.
    """

    pairs: Split
    retrieval: Split
    gold: Sequence[dict[int, float]]
    pad: int


def main(
    data: Annotated[Path, typer.Argument(help="the folder that holds glue/ and squad/")],
    out: Annotated[Path, typer.Option(help="keeps the run, the models and what was found")] = Path("runs/embedding"),
    shares: Annotated[str, typer.Option(help="rungs, of the encoder's parameters")] = "2/3,1/2,1/3,1/6",
    steps: Annotated[int, typer.Option(min=1, help="of a rung of half the encoder")] = LadderSettings().steps,
    texts: Annotated[int, typer.Option(min=10, help="drawn of each of the three corpora; of contexts a third")] = 1500,
    rounds: Annotated[int, typer.Option(min=1, help="of timing")] = 20,
    json: JsonOption = False,
) -> None:
    """Make the models that are missing, score and time all, print the table."""
    torch.set_num_threads(1)
    known = Known(out / "known.jsonl")
    if not (out / "data" / "validation.jsonl").is_file():
        write_texts(data, out / "data", texts)
    sizes = {"selection_limit": 256, "selection_fraction": 0.05}
    run = Run.create(out / "run", model="demo", task="embedding", tell=SILENT, data=out / "data", **sizes)
    run.finetune()
    target = run.latency(seconds=20.0).target
    names = [name.strip() for name in shares.split(",")]
    seconds = {name: _rung_seconds(run, name, steps, known) for name in names}
    keys = {name: rung.key for name, rung in zip(names, run.ladder(shares=shares, steps=steps), strict=True)}
    paths = {f"ladder {name}": run.folder.ladder / key for name, key in keys.items()}
    whole, tokenizer = load_supernet(run.folder.finetuned), load_tokenizer(run.folder.finetuned)
    held = read_data(data, tokenizer)
    found = {WHOLE: _scored(WHOLE, lambda: whole.model, held, out)}
    for name, path in paths.items():
        found[name] = _scored(name, lambda path=path: load_model(path), held, out)
    found[TABLE] = _stored(out, TABLE, lambda: _table_vectors(whole.model, held))
    above: tuple[PreTrainedModel, SubnetMask] | None = None
    for depth, name in zip(range(whole.shape.num_layers - 2, 0, -1), names, strict=False):
        path = out / f"first-{depth}"
        mask = SubnetMask.full(whole.shape).truncated(depth)
        if not path.is_dir():
            model, count = first_layers(run, whole, mask, above, seconds[name])
            save_model(model, tokenizer, path)
            console.print(f"the first {depth} layers: {count} steps")
        above = load_model(path), mask
        paths[f"first {depth} layers"] = path
        found[f"first {depth} layers"] = _scored(f"first-{depth}", lambda path=path: load_model(path), held, out)
    speeds = known.find({"what": "latency", "of": ",".join(paths)}, lambda: _timed(whole, paths, target, rounds))
    rows = {name: _numbers(vectors, found[WHOLE], held) for name, vectors in found.items()}
    for name, row in rows.items():
        row["ms"] = speeds.get(name, float("nan"))
        row["parameters"] = float("nan") if name == TABLE else _parameters(whole, paths.get(name))
    if json:
        print(to_json.dumps({"machine": machine_name(), "target": str(target), "seconds": seconds, "models": rows}))
        return
    header = ("", "encoder", "ms", "times faster", "cosine", "STS-B, % of whole", "recall@10, %", "nDCG@10 x 100")
    show(
        f"vectors of all-MiniLM-L6-v2; {target}",
        header,
        [(name, *_cells(row, speeds[WHOLE])) for name, row in sorted(rows.items(), key=lambda one: -one[1]["cosine"])],
    )


def write_texts(data: Path, to: Path, texts: int) -> None:
    """Write what is trained on, without labels, and STS-B's validation split."""
    draw = np.random.default_rng(0)

    def drawn(values: Sequence[str], count: int) -> list[str]:
        distinct = sorted({str(value).strip() for value in values})
        return [distinct[i] for i in np.sort(draw.permutation(len(distinct))[:count])]

    qnli = _table(data / "glue" / "qnli", "train*")
    chosen = drawn(_table(data / "glue" / "sst2", "train*")["sentence"].tolist(), texts)
    chosen += drawn([*qnli["question"], *qnli["sentence"]], texts)
    chosen += drawn(_table(data / "squad", "train*")["context"].tolist(), texts // 3)
    pairs = _table(data / "glue" / "stsb", "validation*")
    to.mkdir(parents=True, exist_ok=True)
    lines = [{"text": text} for text in chosen]
    (to / "train.jsonl").write_text("\n".join(map(to_json.dumps, lines)) + "\n")
    columns = zip(pairs["sentence1"], pairs["sentence2"], pairs["label"], strict=True)
    lines = [{"text": one, "text2": other, "score": float(score)} for one, other, score in columns]
    (to / "validation.jsonl").write_text("\n".join(map(to_json.dumps, lines)) + "\n")


def read_data(data: Path, tokenizer: PreTrainedTokenizerBase) -> Data:
    """Read what models are held against."""
    stsb, squad = _table(data / "glue" / "stsb", "validation*"), _table(data / "squad", "validation*")
    pairs = Examples(stsb["sentence1"].tolist(), stsb["sentence2"].tolist(), stsb["label"].to_numpy(np.float64))
    first = squad.drop_duplicates("context").sample(_CONTEXTS, random_state=0)
    gold = [{place: 1.0} for place in range(_CONTEXTS)]
    questions = Retrieval([text.strip() for text in first["question"]], first["context"].tolist(), tuple(gold))
    split, asked = (one.tokenised(tokenizer, _LONGEST, Windows())[0] for one in (pairs, questions))
    return Data(split, asked, gold, int(tokenizer.pad_token_id))  # pyright: ignore[reportArgumentType]


def _table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(sorted(folder.glob(f"{name}.parquet"))[0])


def _rung_seconds(run: Run, share: str, steps: int, known: Known) -> float:
    """Make a rung; return the seconds of the processor that it took."""

    def made() -> float:
        begin = time.process_time()
        run.ladder(shares=share, steps=steps)
        return time.process_time() - begin

    return float(known.find({"what": "rung", "share": share, "steps": steps}, made))


def first_layers(
    run: Run, whole: Supernet, mask: SubnetMask, above: tuple[PreTrainedModel, SubnetMask] | None, seconds: float
) -> tuple[PreTrainedModel, int]:
    """Return the first layers of the whole model, or of what was trained above, and the steps that fitted in."""
    holder = Supernet(copy.deepcopy(whole.model))
    if above is not None:
        put_back(*above, holder)
    task, layers = run.task(), list(range(int(np.flatnonzero(mask.heads.any(axis=1))[-1]) + 1))
    rate = LadderSettings().learning_rate

    def trained(model: PreTrainedModel, steps: int) -> float:
        begin, options = time.process_time(), RecoverOptions(steps=steps, learning_rate=rate)
        with TemporaryDirectory() as state:  # of its own: the next ones are other models
            distilled(copy.deepcopy(whole.model), model, task, options, 0, Path(state), lambda step: None, layers)
        return time.process_time() - begin

    probed = trained(extract(holder.model, mask), _PROBED) / _PROBED
    steps = max(1, int(seconds / probed))
    model = extract(holder.model, mask)
    trained(model, steps)
    return model, steps


def _scored(name: str, load: Callable[[], PreTrainedModel], data: Data, out: Path) -> list[NDArray]:
    def vectors() -> list[NDArray]:
        model = load()
        return [model_outputs(model, split, pad_token_id=data.pad) for split in (data.pairs, data.retrieval)]

    return _stored(out, name, vectors)


def _stored(out: Path, name: str, make: Callable[[], list[NDArray]]) -> list[NDArray]:
    """Return vectors of pairs' sentences and of questions and contexts, made once."""
    path = out / f"vectors-{name.replace(' ', '-').replace('/', '-')}.npz"
    if not path.is_file():
        pairs, texts = make()
        np.savez(path, pairs=pairs, texts=texts)
    with np.load(path) as stored:
        return [stored["pairs"], stored["texts"]]


@torch.inference_mode()
def _table_vectors(model: PreTrainedModel, data: Data) -> list[NDArray]:
    """Return the means of what the model makes of each token by itself, without the special ones around it."""
    splits = (data.pairs, data.retrieval)
    used = np.unique(np.concatenate([row[1:-1] for split in splits for row in split.input_ids]))
    around = [int(data.pairs.input_ids[0][place]) for place in (0, -1)]
    ids = torch.from_numpy(np.stack([np.full(len(used), around[0]), used, np.full(len(used), around[1])], 1)).long()
    vectors = torch.cat([model(input_ids=part)["sentence_embedding"] for part in ids.split(256)]).numpy()
    return [
        np.stack([vectors[np.searchsorted(used, row[1:-1])].mean(axis=0) for row in split.input_ids])
        for split in splits
    ]


def _timed(whole: Supernet, paths: dict[str, Path], target: LatencyTarget, rounds: int) -> dict[str, float]:
    bench = Bench(whole.model, target)
    places = bench.add(*(load_model(path) for path in paths.values()), seconds=float("inf"), rounds=rounds)
    found = {name: bench.latency(place).median for name, place in zip(paths, places, strict=True)}
    table = torch.nn.EmbeddingBag(whole.model.config.vocab_size, whole.shape.hidden_size, mode="mean")
    assert not isinstance(target.sequence_length, str)  # a run without a search is for texts of 128 tokens
    ids, times = torch.randint(0, whole.model.config.vocab_size, (1, target.sequence_length)), []
    with torch.inference_mode():
        for _ in range(200):
            begin = time.perf_counter()
            table(ids)
            times.append(1e3 * (time.perf_counter() - begin))
    return {**found, WHOLE: bench.reference, TABLE: float(np.median(times))}


def _parameters(whole: Supernet, path: Path | None) -> float:
    """Return the share of the encoder's parameters that is left."""
    if path is None:
        return 1.0
    parts = [load_model(path), whole.model]
    table = sum(p.numel() for name, p in whole.model.named_parameters() if "embeddings" in name)
    head = sum(p.numel() for name, p in whole.model.named_parameters() if name.startswith("projection"))
    small, full = (sum(p.numel() for p in one.parameters()) - table - head for one in parts)
    return small / full


def _numbers(vectors: list[NDArray], whole: list[NDArray], data: Data) -> dict[str, Any]:
    """Return what vectors are worth, with the intervals of their differences from the whole model's."""
    ours, theirs = (directions(one[0]) for one in (vectors, whole))
    likeness, of_whole = ((one[::2] * one[1::2]).sum(axis=1) for one in (ours, theirs))
    scores = data.pairs.relations.scores  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]

    def share(rows: NDArray[np.int64]) -> float:
        return _spearman(likeness[rows], scores[rows]) / _spearman(of_whole[rows], scores[rows])

    count = len(data.gold)
    found, wanted = (nearest(one[:count], one[count:]) for one in (directions(vectors[1]), directions(whole[1])))
    recall = retrieval(found, [dict.fromkeys(row.tolist(), 1.0) for row in wanted])[0]
    ndcg = retrieval(found, data.gold)[1]
    return {
        "cosine": float((ours * theirs).sum(axis=1).mean()),
        "spearman": _spearman(likeness, scores),
        "share": share(np.arange(len(scores))),
        "share_interval": _interval(len(scores), share),
        "recall": float(recall.mean()),
        "recall_interval": _interval(count, lambda rows: float(recall[rows].mean())),
        "ndcg": float(ndcg.mean()),
    }


def _spearman(likeness: NDArray, scores: NDArray) -> float:
    metric: Metric = METRICS["sts_spearman"]
    answers = np.zeros((len(likeness), embedding.LIKENESS + 1))
    answers[:, embedding.LIKENESS] = likeness
    return metric.of_compared(answers, scores[:, None])


def _interval(count: int, statistic: Callable[[NDArray[np.int64]], float]) -> tuple[float, float]:
    rng, rows = np.random.default_rng(0), (np.arange(count),)
    options: dict[str, Any] = {"vectorized": False, "n_resamples": _RESAMPLES, "method": "percentile", "rng": rng}
    found = bootstrap(rows, statistic, **options).confidence_interval
    return float(found.low), float(found.high)


def _cells(row: dict[str, Any], whole: float) -> tuple[str, ...]:
    (low, high), (least, most) = row["share_interval"], row["recall_interval"]
    return (
        "" if np.isnan(row["parameters"]) else f"{row['parameters']:.0%}",
        f"{row['ms']:.2f}",
        f"{whole / row['ms']:.1f}",
        f"{row['cosine']:.3f}",
        f"{100 * row['share']:.1f} ({100 * low:.1f} to {100 * high:.1f})",
        f"{100 * row['recall']:.1f} ({100 * least:.1f} to {100 * most:.1f})",
        f"{100 * row['ndcg']:.1f}",
    )


if __name__ == "__main__":
    typer.run(main)
