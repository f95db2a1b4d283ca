"""Fewer heads, or smaller ones? What attention blocks lose by either at the same number of parameters.

    python -m secateur.benchmarks.head_size RUN [--shares 3/4,1/2,1/4] [--texts 512] [--json]

Of the fine-tuned model of a run, a BERT with absolute positions, each attention block alone is made smaller, by

- fewer heads: the ones are removed, one by one, that the others can best make up for;
- smaller heads: all heads stay, each with fewer dimensions. Of queries and keys those are kept that lose least of the
  scores on the block's inputs: the singular vectors of `C^1/2 Wq' Wk C^1/2` with the inputs' second moments `C`. Of
  values those that lose least of what the head adds to the block's sum, likewise (Eckart and Young, 1936).

In both the outgoing map is solved for anew by least squares. Printed are the shares of the variance of the block's sum
that is not explained then, and milliseconds of such a block alone at 128 tokens, float32, the sizes in turn.
"""

from __future__ import annotations

import json as json_module
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from torch import Tensor
from torch.nn import functional

from ..errors import InputError
from ..evaluation.latency import machine_name
from ..run.folder import RunFolder
from ..run.project import open_task
from ..run.settings.parsing import parse_shares
from ..supernet.stored.storage import load_model
from ..tasks.batches import collate
from .common import JsonOption, show

_BATCH, _TOKENS, _ROUNDS = 64, 128, 200
_RIDGE = 1e-4  # of the mean square of a unit's outputs
_NOTHING = 1e-12
Maps = list[tuple[Tensor, Tensor]]  # weights and biases of queries, keys and values


@dataclass(frozen=True)
class Attention:
    """An attention block and what it reads.

    Attributes:
        maps: of queries, keys and values, `(heads * size, dimensions)` each.
        out: the outgoing map, `(dimensions, heads * size)`.
        heads: how many.
        inputs: states `(texts, tokens, dimensions)` and masks `(texts, tokens)`, batch by batch.
    """

    maps: Maps
    out: Tensor
    heads: int
    inputs: list[tuple[Tensor, Tensor]]

    @property
    def size(self) -> int:
        """Dimensions of a head."""
        return self.out.shape[1] // self.heads

    def context(self, maps: Maps) -> Tensor:
        """Return what heads with such maps give, `(tokens, heads, their size)`, without padding."""
        found = []
        for states, mask in self.inputs:
            query, key, value = (
                functional.linear(states, *one).unflatten(-1, (self.heads, -1)).transpose(1, 2) for one in maps
            )
            seen = mask[:, None, None, :].bool()
            given = functional.scaled_dot_product_attention(query, key, value, seen, scale=self.size**-0.5)
            found.append(given.transpose(1, 2)[mask.bool()])
        return torch.cat(found)

    def fewer(self, counts: list[int]) -> dict[int, float]:
        """Return what is lost with so many heads, each time those that the others make up for the least."""
        context = self.context(self.maps)
        wanted, kept, found = self._sum(context), list(range(self.heads)), {}
        while len(kept) > min(counts):
            losses = {gone: _lost(context[:, [one for one in kept if one != gone]], wanted) for gone in kept}
            gone = min(losses, key=lambda one: losses[one])
            kept.remove(gone)
            found[len(kept)] = losses[gone]
        return {count: found[count] for count in counts}

    def smaller(self, sizes: list[int]) -> dict[int, float]:
        """Return what is lost with heads of such sizes."""
        context, found = self.context(self.maps), {}
        wanted = self._sum(context)
        for size in sizes:
            heads = [self._shrunk(number, context[:, number].double(), size) for number in range(self.heads)]
            maps = [torch.cat(parts).float() for parts in zip(*heads, strict=True)]
            found[size] = _lost(self.context([(one[:, :-1], one[:, -1]) for one in maps]), wanted)
        return found

    def _shrunk(self, number: int, context: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return maps of a head's queries, keys and values with fewer rows, the biases as a last column."""
        rows = slice(number * self.size, (number + 1) * self.size)
        query, key, value = (torch.cat([w[rows], b[rows, None]], 1).double() for w, b in self.maps)
        root, inverse = self._roots
        left, values, right = torch.linalg.svd(root @ query.T @ key @ root)
        scale = values[:size].sqrt()
        made = ((inverse @ left[:, :size]) * scale).T, ((inverse @ right[:size].T) * scale).T
        own, own_inverse = _roots(context.T @ context / len(context))
        added = torch.linalg.svd(own @ self.out[:, rows].T.double())[0][:, :size]
        return *made, (own_inverse @ added).T @ value

    @property
    def _roots(self) -> tuple[Tensor, Tensor]:
        states = torch.cat([states[mask.bool()] for states, mask in self.inputs]).double()
        extended = torch.cat([states, torch.ones(len(states), 1)], 1)
        return _roots(extended.T @ extended / len(extended))

    def _sum(self, context: Tensor) -> Tensor:
        return context.flatten(1) @ self.out.T


def _roots(moments: Tensor) -> tuple[Tensor, Tensor]:
    """Return the root of a matrix of second moments, and its inverse."""
    values, vectors = torch.linalg.eigh(moments)
    roots = values.clamp_min(_NOTHING * float(values[-1])).sqrt()
    return (vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T


def _lost(context: Tensor, wanted: Tensor) -> float:
    """Return the share of the variance of sums `(tokens, dimensions)` that heads do not explain after a refit."""
    units, sums = context.flatten(1).double(), wanted.double()
    units, sums = units - units.mean(0), sums - sums.mean(0)
    products = units.T @ units
    ridge = _RIDGE * products.trace() / len(products)
    solved = torch.linalg.solve(products + ridge * torch.eye(len(products)), units.T @ sums)
    return float((sums - units @ solved).square().sum() / sums.square().sum())


def _blocks(folder: RunFolder, texts: int) -> Iterator[Attention]:
    model, task = load_model(folder.finetuned).float().eval(), open_task(folder)
    if model.config.model_type != "bert":
        raise InputError(f"this compares blocks of a BERT, {folder.finetuned} is a {model.config.model_type}")
    rows = np.random.default_rng(folder.project.seed).permutation(len(task.train))[:texts]
    layers: Any = model.get_submodule("bert.encoder.layer")
    inputs: list[list[tuple[Tensor, Tensor]]] = [[] for _ in layers]
    for at in range(0, len(rows), _BATCH):
        batch = collate(task.train, rows[at : at + _BATCH], task.pad_token_id)
        mask = torch.ones_like(batch.input_ids) if batch.attention_mask is None else batch.attention_mask
        for kept, states in zip(inputs, model(**batch.inputs, output_hidden_states=True).hidden_states, strict=False):
            kept.append((states, mask))
    for layer, kept in zip(layers, inputs, strict=True):
        own = layer.attention.self
        maps = [(one.weight, one.bias) for one in (own.query, own.key, own.value)]
        yield Attention(maps, layer.attention.output.dense.weight, model.config.num_attention_heads, kept)


def _times(ways: dict[str, tuple[int, int]], dimensions: int) -> dict[str, float]:
    """Return the milliseconds of blocks of so many heads of some size, one text, in turn."""
    states = torch.randn(1, _TOKENS, dimensions)

    def block(heads: int, size: int) -> Callable[[], Tensor]:
        into, out = torch.randn(3 * heads * size, dimensions), torch.randn(dimensions, heads * size)

        def run() -> Tensor:
            query, key, value = functional.linear(states, into).unflatten(-1, (3, heads, size)).permute(2, 0, 3, 1, 4)
            given = functional.scaled_dot_product_attention(query, key, value)
            return functional.linear(given.transpose(1, 2).flatten(2), out)

        return run

    runs = {name: block(*way) for name, way in ways.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(_ROUNDS):
        for name, run in runs.items():
            run()  # what is in the caches then is its own
            begin = time.perf_counter()
            run()
            times[name].append(1e3 * (time.perf_counter() - begin))
    return {name: statistics.median(found) for name, found in times.items()}


@torch.inference_mode()
def main(
    run: Annotated[Path, typer.Argument(help="a run folder with a fine-tuned BERT")],
    shares: Annotated[str, typer.Option(help="of the parameters of attention")] = "3/4,1/2,1/4",
    texts: Annotated[int, typer.Option(help="of the training split")] = 512,
    json: JsonOption = False,
) -> None:
    """Make each block smaller, print.

    Raises:
        InputError: a run of another family.
    """
    rows, sizes = [], {}
    blocks = list(_blocks(RunFolder.open(run), texts))
    heads, size = blocks[0].heads, blocks[0].size
    for title, share in zip(shares.split(","), map(float, parse_shares(shares)), strict=True):
        sizes[title] = max(1, round(share * heads)), max(1, round(share * size))
    ways = {"all": (heads, size)}
    ways |= {f"{title} heads": (fewer, size) for title, (fewer, _) in sizes.items()}
    ways |= {f"{title} size": (heads, smaller) for title, (_, smaller) in sizes.items()}
    times = _times(ways, blocks[0].out.shape[0])
    for layer, block in enumerate(blocks):
        by_heads = block.fewer([fewer for fewer, _ in sizes.values()])
        by_size = block.smaller([smaller for _, smaller in sizes.values()])
        rows += [
            {"layer": layer, "share": title, "heads": by_heads[fewer], "size": by_size[smaller]}
            for title, (fewer, smaller) in sizes.items()
        ]
    if json:
        print(json_module.dumps({"machine": machine_name(), "ms": times, "rows": rows}))
        return
    means = {
        title: [statistics.mean(row[way] for row in rows if row["share"] == title) for way in ("heads", "size")]
        for title in sizes
    }
    lost = [(str(row["layer"]), row["share"], f"{row['heads']:.1%}", f"{row['size']:.1%}") for row in rows]
    lost += [("mean", title, *(f"{one:.1%}" for one in both)) for title, both in means.items()]
    show(f"{run}: variance lost", ("layer", "kept", "fewer heads", "smaller heads"), lost)
    shown = [(title, f"{times[f'{title} heads']:.3f}", f"{times[f'{title} size']:.3f}") for title in sizes]
    show(f"ms, of {times['all']:.3f} with all", ("kept", "fewer heads", "smaller heads"), shown)


if __name__ == "__main__":
    typer.run(main)
