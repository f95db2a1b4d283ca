"""Small tokenizers of every kind, learnt from made-up sentences, and texts to spell: nothing is downloaded."""

from __future__ import annotations

import json
from functools import lru_cache

import numpy as np
from secateur.supernet.families import FAMILIES
from secateur.supernet.vocabulary.keeping import Counts, token_counts
from secateur.tests.tiny import tiny_model
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertTokenizer,
    CamembertTokenizer,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    RobertaTokenizer,
    XLMRobertaTokenizer,
)

_SYLLABLES = (
    "ba",
    "ce",
    "di",
    "fo",
    "gu",
    "ha",
    "je",
    "ki",
    "lo",
    "mu",
    "na",
    "pe",
    "qui",
    "ro",
    "su",
    "ta",
    "ve",
    "wi",
)
_SYLLABLES += ("xo", "zy", "an", "er", "in", "on", "str", "tion", "ness", "é", "ü")
_SIGNS = [".", ",", "!", "?", "'s", "-", "(", ")", "7", "42", "€", "ß", "中", "…", "👍"]
_NEVER = ["\u0416", "ष", "\u200b", "🧬", "\t", "İ", "ﬁ", "\u0301"]  # what no tokenizer has learnt
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


def sentences(count: int, seed: int, rare: bool = False) -> list[str]:
    """Return sentences of words of which few are frequent; `rare` ones have words and signs of their own, too."""
    draw = np.random.default_rng(seed)
    words = _words()
    made = []
    for _ in range(count):
        places = np.minimum(draw.zipf(1.3, int(draw.integers(1, 14))) - 1, len(words) - 1)
        parts = [words[int(place)] for place in places]
        for at in range(len(parts)):
            if draw.random() < 0.2:
                parts[at] += _SIGNS[int(draw.integers(len(_SIGNS)))]
            if draw.random() < 0.1:
                parts[at] = parts[at].capitalize()
            if rare and draw.random() < 0.1:
                parts[at] = "".join(draw.choice(_SYLLABLES, int(draw.integers(1, 7))))
            if rare and draw.random() < 0.03:
                parts[at] += str(draw.choice(_NEVER))
        made.append((" " if draw.random() < 0.9 else "  ").join(parts))
    return made


@lru_cache
def _words() -> list[str]:
    draw = np.random.default_rng(0)
    return ["".join(draw.choice(_SYLLABLES, int(draw.integers(1, 5)))) for _ in range(900)]


@lru_cache
def _learnt(kind: str, size: int = 700) -> Tokenizer:
    """Learn a tokenizer with these libraries' trainers."""
    texts = sentences(500, seed=1)
    if kind == "WordPiece":
        backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        backend.normalizer = normalizers.BertNormalizer(lowercase=True)
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        backend.decoder = decoders.WordPiece()
        special = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=special, show_progress=False)
    elif kind == "BPE":
        backend = Tokenizer(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=size, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
        )
    elif kind == "Unigram":
        backend = Tokenizer(models.Unigram())
        backend.pre_tokenizer = pre_tokenizers.Metaspace()
        backend.decoder = decoders.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=size, special_tokens=list(SPECIAL), unk_token="<unk>", show_progress=False
        )
    elif kind == "suffixes":  # as GPT-1 and others end their words
        backend = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
        backend.pre_tokenizer = pre_tokenizers.Whitespace()
        trainer = trainers.BpeTrainer(
            vocab_size=size, special_tokens=list(SPECIAL), end_of_word_suffix="</w>", show_progress=False
        )
    elif kind == "prefixes":
        backend = Tokenizer(models.BPE(unk_token="<unk>", continuing_subword_prefix="##"))
        backend.pre_tokenizer = pre_tokenizers.Whitespace()
        trainer = trainers.BpeTrainer(
            vocab_size=size, special_tokens=list(SPECIAL), continuing_subword_prefix="##", show_progress=False
        )
    else:
        backend = Tokenizer(models.WordLevel(unk_token="<unk>"))
        backend.pre_tokenizer = pre_tokenizers.Whitespace()
        trainer = trainers.WordLevelTrainer(vocab_size=size, special_tokens=list(SPECIAL), show_progress=False)
    backend.train_from_iterator(texts, trainer)
    return backend


_NAMES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<mask>"}
_NAMES |= {"cls_token": "<s>", "sep_token": "</s>"}


def _plain(kind: str) -> PreTrainedTokenizerBase:
    """Return a tokenizer of no model's own class, whose tokens around a text are said in its file."""
    backend = Tokenizer.from_str(_learnt(kind).to_str())
    begin, end = (backend.token_to_id(token) for token in ("<s>", "</s>"))
    both = [("<s>", begin), ("</s>", end)]
    template = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=both)
    around = processors.ByteLevel(trim_offsets=True) if kind == "BPE" else template
    backend.post_processor = processors.Sequence([around, template]) if kind == "BPE" else template
    backend.enable_padding(pad_id=backend.token_to_id("<pad>"), pad_token="<pad>")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=64, **_NAMES)
    tokenizer.add_tokens([AddedToken("babaß", normalized=False), "<new>"])  # one that is none of the model's tokens
    return tokenizer


def _bert_processed() -> PreTrainedTokenizerBase:
    """Return a tokenizer as BERT's were written before templates; ids around a text are others with fewer tokens."""
    learnt = _learnt("WordPiece")
    backend = Tokenizer(models.WordPiece(learnt.get_vocab(), unk_token="[UNK]"))  # to which no token was added
    backend.normalizer, backend.pre_tokenizer = learnt.normalizer, learnt.pre_tokenizer
    ends = {token: backend.token_to_id(token) for token in ("[SEP]", "[CLS]")}
    backend.post_processor = processors.BertProcessing(*ends.items())
    names = {f"{name.lower()}_token": f"[{name}]" for name in ("PAD", "UNK", "CLS", "SEP", "MASK")}
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=64, **names)


def _own(kind: str) -> PreTrainedTokenizerBase:
    """Return a tokenizer of a model's own class, which builds parts of it by itself."""
    state = json.loads(_learnt(kind).to_str())["model"]
    if kind == "WordPiece":
        return BertTokenizer(vocab=state["vocab"], model_max_length=64)
    merges = [tuple(pair) for pair in state.get("merges", ())]
    return RobertaTokenizer(vocab=state["vocab"], merges=merges, model_max_length=64)


def _sentencepiece(own: type[PreTrainedTokenizerBase]) -> PreTrainedTokenizerBase:
    state = json.loads(_learnt("Unigram").to_str())["model"]
    return own(vocab=[tuple(piece) for piece in state["vocab"]], model_max_length=64)


SPELLERS = {
    "bert": lambda: _own("WordPiece"),
    "roberta": lambda: _own("BPE"),
    "xlm-roberta": lambda: _sentencepiece(XLMRobertaTokenizer),
    "camembert": lambda: _sentencepiece(CamembertTokenizer),
    "plain WordPiece": _bert_processed,
    "plain BPE": lambda: _plain("BPE"),
    "plain Unigram": lambda: _plain("Unigram"),
    "BPE with suffixes": lambda: _plain("suffixes"),
    "BPE with prefixes": lambda: _plain("prefixes"),
    "words": lambda: _plain("WordLevel"),
}


@lru_cache
def speller(name: str) -> PreTrainedTokenizerBase:
    """Return a tokenizer; it must be left as it is."""
    return SPELLERS[name]()


def spelled(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    """Return the tokens of texts."""
    return tokenizer(texts, padding=False, truncation=False, verbose=False)["input_ids"]


def counted(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> Counts:
    """Count the tokens of texts."""
    return token_counts(tokenizer, [np.array(row, np.int32) for row in spelled(tokenizer, texts)])


@lru_cache
def config_for(name: str) -> PreTrainedConfig:
    """Return the configuration of a model that reads a tokenizer's tokens."""
    family = name if name in FAMILIES else "bert"
    rows = max(speller(name).get_vocab().values()) + 1
    return tiny_model(family, vocab_size=rows, max_position_embeddings=66).config
