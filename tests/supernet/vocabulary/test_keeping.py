"""Which tokens are kept, and that texts whose tokens are kept are spelled as before, by tokenizers of every kind."""

import json
from itertools import pairwise

import numpy as np
import pytest
import transformers
from secateur.errors import InputError
from secateur.supernet.vocabulary import PIECES, pieces_of
from secateur.supernet.vocabulary.cutting import cut_tokenizer
from secateur.supernet.vocabulary.keeping import KeptTokens, kept_tokens, token_counts
from secateur.tests.tiny import tiny_model
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from .spellers import SPELLERS, config_for, counted, sentences, spelled, speller

CORPUS, TEXTS = sentences(120, seed=2), sentences(1000, seed=3, rare=True)


@pytest.fixture(scope="module", params=SPELLERS)
def name(request):
    return request.param


@pytest.fixture(scope="module", params=["corpus", "fewer", "more"])
def cut(request, name):
    """A tokenizer, what is kept of it, and the same with that alone."""
    tokenizer = speller(name)
    config, counts = config_for(name), counted(tokenizer, CORPUS)
    of_corpus = len(kept_tokens(tokenizer, config, counts).ids)
    change = {"corpus": None, "fewer": of_corpus - 40, "more": of_corpus + 40}[request.param]
    kept = kept_tokens(tokenizer, config, counts, change)
    assert change is None or len(kept.ids) == min(change, kept.before)
    return tokenizer, kept, cut_tokenizer(tokenizer, kept)


@pytest.fixture(scope="module")
def before(name):
    """The tokens of all texts."""
    return spelled(speller(name), TEXTS)


def renumbered(kept: KeptTokens, rows: list[list[int]]) -> list[list[int] | None]:
    """Return the new ids of texts; None for texts that have tokens which are not kept."""
    numbers = kept.numbers
    return [[numbers[old] for old in row] if numbers.keys() >= {*row} else None for row in rows]


def test_texts_whose_tokens_are_kept_have_the_same_ones(cut, before):
    _, kept, made = cut
    expected, found = renumbered(kept, before), spelled(made, TEXTS)
    pairs = [(text, old, new) for text, old, new in zip(TEXTS, expected, found) if old is not None]
    assert len(pairs) > 100
    assert not [text for text, old, new in pairs if old != new]


def test_the_corpus_keeps_its_tokens_and_their_order(name):
    tokenizer, config = speller(name), config_for(name)
    kept = kept_tokens(tokenizer, config, counted(tokenizer, CORPUS))
    made = cut_tokenizer(tokenizer, kept)
    assert renumbered(kept, spelled(tokenizer, CORPUS)) == spelled(made, CORPUS)
    for first, second in pairwise(CORPUS):
        old, new = (one(first, second, padding=False)["input_ids"] for one in (tokenizer, made))
        assert [kept.numbers[number] for number in old] == new
    assert kept.outside(counted(tokenizer, CORPUS)) == 0
    known = tokenizer.get_vocab()
    assert made.get_vocab() == {token: kept.numbers[old] for token, old in known.items() if old in kept.numbers}
    for token in ("pad", "unk", "cls", "sep", "mask"):
        assert getattr(made, f"{token}_token") == getattr(tokenizer, f"{token}_token")
        assert getattr(made, f"{token}_token_id") == kept.numbers[getattr(tokenizer, f"{token}_token_id")]


def test_texts_whose_tokens_are_gone_are_spelled(cut, name, before):
    tokenizer, kept, made = cut
    if name == "words":
        pytest.skip("whole words cannot be spelled with others")
    unknown = tokenizer.unk_token_id
    for text, old, new in zip(TEXTS, before, spelled(made, TEXTS)):
        if unknown not in old:
            assert kept.numbers[unknown] not in new, text
    if name in ("roberta", "plain BPE"):  # bytes spell everything
        text = "ŒŜ 🧬 中文 naïve"
        assert made.decode(made(text)["input_ids"], skip_special_tokens=True).strip() == text


def test_the_files_are_read_as_they_were_made(cut, tmp_path):
    """By transformers, and by `tokenizers` alone."""
    _, _, made = cut
    made.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    expected = spelled(made, TEXTS[:300])
    assert spelled(again, TEXTS[:300]) == expected
    alone = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    alone.no_padding()
    alone.no_truncation()
    assert [one.ids for one in alone.encode_batch(TEXTS[:300])] == expected
    text = TEXTS[0]
    assert again.decode(again(text)["input_ids"]) == made.decode(made(text)["input_ids"])


def test_the_most_frequent_tokens_are_kept():
    tokenizer = speller("bert")
    counts = counted(tokenizer, CORPUS)
    all_of_them, few = (kept_tokens(tokenizer, config_for("bert"), counts, most) for most in (None, 200))
    fixed = {*kept_tokens(tokenizer, config_for("bert"), np.eye(1, len(counts), 6, dtype=np.int64)[0]).ids} - {6}
    chosen = [number for number in few.ids if number not in fixed]
    left = [number for number in all_of_them.ids if number not in {*few.ids}]
    assert len(few.ids) == 200
    assert min(counts[chosen]) >= max(counts[left])
    outside = counts[left].sum() / counts[[i for i in range(len(counts)) if i not in tokenizer.all_special_ids]].sum()
    assert few.outside(counts) == pytest.approx(outside)


def test_what_no_text_has_fills_nothing_up():
    tokenizer = speller("bert")
    kept = kept_tokens(tokenizer, config_for("bert"), counted(tokenizer, CORPUS), 10_000)
    assert tokenizer.get_vocab()["[unused0]"] not in kept.ids  # brackets part words
    assert len(kept.ids) < kept.before


def test_a_merged_token_is_kept_with_what_it_is_merged_from():
    vocabulary = {
        token: number for number, token in enumerate(["<pad>", "a", "b", "c", "d", "bc", "ab", "abc", "abcd"])
    }
    # Its first merge is not the one that a glance from the end would take.
    merges = [("a", "b"), ("b", "c"), ("a", "bc"), ("ab", "c"), ("abc", "d")]
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    pieces = pieces_of(backend, json.loads(backend.to_str())["model"])
    assert pieces.parts(8) == {vocabulary[token] for token in ("a", "b", "c", "d", "ab", "abc", "abcd")}
    numbers = {old: new for new, old in enumerate(sorted(pieces.parts(8)))}
    assert pieces.cut(numbers)["merges"] == [["a", "b"], ["ab", "c"], ["abc", "d"]]
    assert pieces.units == {1, 2, 3, 4}


def test_a_token_that_merges_do_not_lead_to_is_named():
    backend = Tokenizer(models.BPE(vocab={"a": 0, "b": 1, "ab": 2}, merges=[]))
    pieces = pieces_of(backend, json.loads(backend.to_str())["model"])
    assert not pieces.is_readable(2)
    with pytest.raises(InputError, match="no merges of the tokenizer lead to its token 'ab'"):
        pieces.parts(2)
    backend.model = models.BPE(vocab={"a": 0, "b": 1, "ab": 2}, merges=[], ignore_merges=True)
    assert pieces_of(backend, json.loads(backend.to_str())["model"]).parts(2) == {2}


def test_what_an_unknown_character_costs_stays_the_same():
    """Its cost is counted from the lowest score, here of a piece that no text has."""
    scored = [("<unk>", 0.0), ("a", -1.0), ("b", -15.0), ("y", -15.0), ("d", -15.0)]
    scored += [("axb", -19.0), ("yd", -19.0), ("byd", -3.0), ("zzz", -30.0)]
    backend = Tokenizer(models.Unigram(scored, unk_id=0))
    described = json.loads(backend.to_str())
    pieces = pieces_of(backend, described["model"])
    assert pieces.units == {0, 1, 2, 3, 4, 8}
    assert backend.encode("axbyd").tokens == ["axb", "yd"]  # 38, where a, x and byd would be 1 + 40 + 3
    for kept, tokens in (([*range(9)], ["axb", "yd"]), ([*range(8)], ["a", "x", "byd"])):
        model = pieces.cut({old: new for new, old in enumerate(kept)})
        assert Tokenizer.from_str(json.dumps(described | {"model": model})).encode("axbyd").tokens == tokens


def test_word_pieces_that_go_on_are_kept_where_words_go_on():
    tokens = ["[PAD]", "[UNK]", "a", "##a", "!", "##!", "中", "##中"]
    backend = Tokenizer(models.WordPiece({token: i for i, token in enumerate(tokens)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    units = pieces_of(backend, json.loads(backend.to_str())["model"]).units
    assert {tokens[number] for number in units} == {"[UNK]", "a", "##a", "!", "中", "##中"}  # no text has ##!


def test_what_cannot_be_cut_is_named():
    tokenizer, config = speller("bert"), config_for("bert")
    counts = counted(tokenizer, CORPUS)
    with pytest.raises(InputError, match=r"expected at least \d+ tokens, which .* cannot do without .*got 20"):
        kept_tokens(tokenizer, config, counts, 20)
    with pytest.raises(InputError, match="the texts have no tokens"):
        kept_tokens(tokenizer, config, counted(tokenizer, ["", ""]))
    with pytest.raises(InputError, match="unknown kind of tokenizer 'Other'; known: BPE, Unigram, Word"):
        pieces_of(tokenizer.backend_tokenizer, {"type": "Other"})
    with pytest.raises(InputError, match="rows of word embeddings"):
        kept_tokens(tokenizer, tiny_model("bert").config, counts)
    slow = transformers.ByT5Tokenizer()
    with pytest.raises(InputError, match=r"ByT5Tokenizer has no tokenizer\.json"):
        kept_tokens(slow, config, counts)
    assert {"WordPiece", "BPE", "Unigram"} <= PIECES.keys()


def test_counts_are_of_all_texts():
    tokenizer = speller("bert")
    rows = [np.array([6, 7, 7]), np.array([], np.int64), np.array([7])]
    counts = token_counts(tokenizer, rows)
    assert (counts[6], counts[7], counts.sum()) == (1, 3, 4)


def test_a_tokenizer_without_special_tokens_can_be_cut():
    backend = Tokenizer(models.WordLevel({"a": 0, "b": 1, "c": 2}, unk_token="a"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    kept = kept_tokens(tokenizer, tiny_model("bert").config, counted(tokenizer, ["c c"]))
    assert kept.ids.tolist() == [0, 2]
    assert spelled(cut_tokenizer(tokenizer, kept), ["c b"]) == [[1, 0]]
