"""Random vocabularies of tokenizers of every kind: texts whose tokens are all kept are spelled as before.

    python -m secateur.tests.stress.vocabulary --count 100000 --seed 0

A vocabulary is cut to what random texts need, or to a random number of tokens; then come others, with words and
characters that neither have seen. Those that have a token that is gone must have no unknown word more. Of tokenizers
from elsewhere MiniLM's takes part, if the package is there that it comes with.
Rounds are independent of each other: `--first N` leaves the ones before out.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import typer
from secateur.errors import InputError
from secateur.supernet.stored.storage import load_config, load_tokenizer
from secateur.supernet.vocabulary.cutting import cut_tokenizer
from secateur.supernet.vocabulary.keeping import kept_tokens
from secateur.tasks import demo_model_folder
from secateur.tests.supernet.vocabulary.spellers import SPELLERS, config_for, counted, sentences, spelled, speller
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from .common import Summary

TEXTS = 1000  # of a round
_RANGES = [(0x20, 0x7F), (0xA0, 0x250), (0x300, 0x370), (0x400, 0x500), (0x590, 0x700), (0x900, 0x980)]
_RANGES += [(0x1E00, 0x2100), (0x2190, 0x2600), (0x3040, 0x3100), (0x4E00, 0x9FFF), (0xAC00, 0xD7A4), (0xFE00, 0xFFFE)]
_RANGES += [(0x1F300, 0x1FAFF)]  # of characters


def main(
    count: Annotated[int, typer.Option(help="texts")] = 100_000,
    seed: Annotated[int, typer.Option(help="of corpora and texts")] = 0,
    first: Annotated[int, typer.Option(help="the number of the first round")] = 0,
) -> None:
    """Cut vocabularies and compare."""
    readers = {name: (speller(name), config_for(name)) for name in SPELLERS}
    readers |= _minilm()
    names, rounds = list(readers), -(-count // TEXTS)
    summary = Summary("vocabulary", rounds * TEXTS)
    for number in range(first, first + rounds):
        rng = np.random.default_rng([seed, number])
        name = names[number % len(names)]
        tokenizer, config = readers[name]
        counts = counted(tokenizer, _texts(rng, int(rng.integers(1, 300)), tokenizer))
        whole = len(kept_tokens(tokenizer, config, counts).ids)
        most = None if rng.random() < 0.3 else int(rng.integers(whole // 2, whole * 2))
        try:
            kept = kept_tokens(tokenizer, config, counts, most)
        except InputError:  # fewer than it can do without
            kept = kept_tokens(tokenizer, config, counts)
        cut, numbers, texts = cut_tokenizer(tokenizer, kept), kept.numbers, _texts(rng, TEXTS, tokenizer)
        unknown, spells = tokenizer.unk_token_id, name != "words"
        for text, old, new in zip(texts, spelled(tokenizer, texts), spelled(cut, texts), strict=True):
            told = f"round {number}, {name} with {len(kept.ids)} tokens: {text!r}: {old} became {new}"
            if numbers.keys() >= {*old}:
                summary.add("with the same tokens", None if [numbers[one] for one in old] == new else told)
            else:
                more = unknown is not None and unknown not in old and numbers[unknown] in new
                summary.add("spelled anew", told if more and spells else None)
    raise typer.Exit(summary.close(f"{len(names)} tokenizers"))


def _minilm() -> dict[str, tuple[PreTrainedTokenizerBase, PreTrainedConfig]]:
    try:
        folder = demo_model_folder()
    except InputError:
        return {}
    return {"MiniLM": (load_tokenizer(folder), load_config(folder))}


def _texts(rng: np.random.Generator, count: int, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Return made-up sentences, half of them with tokens run together or characters from everywhere."""
    made = sentences(count, int(rng.integers(2**31)), rare=True)
    vocabulary = list(tokenizer.get_vocab())
    for place in np.flatnonzero(rng.random(count) < 0.5):
        words = made[place].split(" ")
        for _ in range(int(rng.integers(1, 6))):
            at = int(rng.integers(len(words)))
            if rng.random() < 0.5:
                picked = rng.choice(len(vocabulary), int(rng.integers(1, 4)))
                words[at] += "".join(vocabulary[int(one)].removeprefix("##").strip("Ġ▁") for one in picked)
            else:
                low, high = _RANGES[int(rng.integers(len(_RANGES)))]
                words[at] += "".join(chr(int(one)) for one in rng.integers(low, high, int(rng.integers(1, 5))))
        made[place] = " ".join(words)
    return made


if __name__ == "__main__":
    typer.run(main)
