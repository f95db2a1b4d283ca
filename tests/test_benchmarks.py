"""What the benchmarks share: those that were killed go on, and only what the processor is made for is timed."""

import copy
import json
import re

import numpy as np
import pytest
import torch
from secateur.benchmarks import embedding
from secateur.benchmarks.common import Known, in_turn, precisions
from secateur.benchmarks.front_quality import whole_layers
from secateur.benchmarks.made_tasks import qnli_ranking, sentences, squad_labels, squad_ranking
from secateur.benchmarks.results import FACTS, PAGES, filled
from secateur.benchmarks.search_weights import agreement
from secateur.benchmarks.transplant import LAYOUTS, transplanted, write_transplanted
from secateur.supernet import Supernet
from secateur.supernet.precision import resolve_precision
from secateur.supernet.stored.storage import load_tokenizer
from secateur.tasks.relations import Pairs
from secateur.tasks.split import Split
from transformers import MPNetModel


def test_a_benchmark_that_was_killed_goes_on(tmp_path):
    path, made = tmp_path / "new" / "results.jsonl", []

    def make(value):
        made.append(value)
        return {"seconds": [value, 0.5]}

    known = Known(path)
    for number in (1, 2, 1):
        assert known.find({"task": "rte", "number": number}, lambda n=number: make(n)) == {"seconds": [number, 0.5]}
    assert made == [1, 2]
    path.write_text(path.read_text()[:-5])  # killed while it wrote the second
    for number in (2, 1, 3):
        assert Known(path).find({"number": number, "task": "rte"}, lambda n=number: make(n))["seconds"][0] == number
    assert made == [1, 2, 2, 3]
    assert len(path.read_text().splitlines()) == 3
    Known(path).forget()
    assert not path.exists()


def test_functions_are_timed_in_turn():
    calls = []
    ways = [lambda turn, name=name: calls.append(f"{name}{turn}") for name in "ab"]
    times = in_turn(ways, 2, "calls", warmup=[0, 2])
    assert [len(found) for found in times] == [2, 2]
    assert calls == ["b3", "b4", "a0", "b0", "a1", "b1", "a2", "b2"]


def test_precisions_are_those_of_the_processor():
    fast = resolve_precision("auto", torch.device("cpu")) == torch.bfloat16
    assert ("bfloat16" in precisions()) == fast
    assert precisions()[-1] == "float32"


def test_agreement_within_thirds_does_not_count_size():
    rng = np.random.default_rng(0)
    third = np.repeat([0.0, 10.0, 20.0], 10)
    y = third + np.tile(np.arange(10.0), 3)
    same = agreement(y, y, third)
    assert (same.tau, same.within) == pytest.approx((1, 1))
    backwards = agreement(third - np.tile(np.arange(10.0), 3), y, third)  # right but for the order within the thirds
    assert backwards.within == pytest.approx(-1)
    assert backwards.tau == pytest.approx((300 - 135) / 435)  # pairs of two thirds, less those of one
    chance = agreement(rng.permutation(y), y, third)
    assert chance.low < 0 < chance.high
    assert chance.within_low < 0 < chance.within_high


@pytest.mark.parametrize("share", [1, 2 / 3, 0.5, 0.3, 0.15])
def test_the_rival_of_whole_layers_keeps_as_many_as_a_share_needs(tiny_models, share):
    whole, order = Supernet(tiny_models["bert"]), (2, 0, 1)
    mask = whole_layers(whole, share, order)
    assert mask.encoder_parameters(whole.shape) <= share * whole.shape.encoder_parameters
    kept = np.flatnonzero(mask.heads.any(axis=1) & mask.neurons.any(axis=1))
    assert kept.tolist() == sorted(order[: int(np.ceil(round(3 * share, 6)))])
    assert len({*map(tuple, mask.heads[kept])}) == len({*map(tuple, mask.neurons[kept])}) == 1
    assert mask.is_full == (share == 1)


@torch.no_grad()
@pytest.mark.parametrize("family", [name for name in LAYOUTS if name != "modernbert"])
def test_a_transplanted_encoder_computes_what_the_bert_does_where_positions_play_no_part(tiny_models, family):
    bert = copy.deepcopy(tiny_models["bert"])
    bert.bert.embeddings.position_embeddings.weight.zero_()
    model = transplanted(family, bert)
    assert model.config.model_type == family
    text = torch.tensor([[7]])
    found, expected = model.base_model(text).last_hidden_state, bert.bert(text).last_hidden_state
    # nomic-bert's neurons go through silu, and one of 24 gives up its place for a bias.
    assert torch.allclose(found, expected, atol=1.0 if family == "nomic_bert" else 1e-3)
    assert torch.cosine_similarity(found, expected, dim=-1).item() > 0.9


def test_a_transplanted_encoder_has_layers_at_equal_distances(tiny_models):
    bert = tiny_models["bert"]
    layers = transplanted("xlm-roberta", bert, 2).roberta.encoder.layer
    found = [layer.output.dense.weight for layer in layers]
    expected = [bert.bert.encoder.layer[place].output.dense.weight for place in (0, 1)]
    assert [torch.equal(*pair) for pair in zip(found, expected, strict=True)] == [True, True]


def test_a_transplanted_mpnet_pads_as_its_tokenizer_does(tmp_path, tiny_models, tiny_tokenizer):
    bert = tiny_models["bert"]
    bert.bert.save_pretrained(tmp_path / "bert")
    tiny_tokenizer.save_pretrained(tmp_path / "bert")
    write_transplanted("mpnet", tmp_path / "bert", tmp_path / "mpnet")
    tokenizer, words = load_tokenizer(tmp_path / "mpnet"), bert.bert.embeddings.word_embeddings.weight
    assert (tokenizer.pad_token_id, tokenizer.unk_token_id) == (1, 0)
    table = MPNetModel.from_pretrained(tmp_path / "mpnet", add_pooling_layer=False).embeddings.word_embeddings.weight
    assert table[5].allclose(words[5] + bert.bert.embeddings.token_type_embeddings.weight[0])
    assert table[0].allclose(words[1] + bert.bert.embeddings.token_type_embeddings.weight[0])


def test_pages_say_what_the_last_results_were():
    facts, pages = json.loads(FACTS.read_text()), [page.read_text() for page in PAGES]
    assert [filled(page, facts) for page in pages] == pages
    sections = [re.findall(r"<!-- results: (\w+) -->", page) for page in pages]
    assert sections == [["run", "fronts", "export"], ["fronts"]]


def test_sections_are_written_from_facts_and_the_rest_stays():
    made = {"made": "2026-01-02", "revision": "abc1234", "machine": "A Processor"}
    whole = {"method": "whole", "share": "", "score": 0.5, "of_whole": 1.0, "seconds": 0.0}

    def rung(share, of_whole, seconds):
        return {"method": "ladder", "share": share, "score": of_whole / 2, "of_whole": of_whole, "seconds": seconds}

    facts = {
        "run": made | {"rungs": {"after": ["1 s", "2 s"], "error": ["0.1", "0.2"]}, "export": {"model": ["whole"]}},
        "sst2": made | {"rows": [whole, rung("1/2", 1.0, 90.0), rung("1/4", 0.9, 80.0)]},
        "stsb": made | {"rows": [whole, rung("1/2", 0.9, 100.0), rung("1/4", 0.8, 70.0)]},
    }
    text = "a\n<!-- results: run -->\nold\n<!-- end -->\nb\n<!-- results: fronts -->\n<!-- end -->\nc\n"
    found = filled(text, facts)
    lines = found.splitlines()
    assert (lines[0], lines[-1]) == ("a", "c")
    assert "old" not in lines
    assert "b" in lines
    assert lines[3:7] == ["| after | error |", "| --- | --- |", "| 1 s | 0.1 |", "| 2 s | 0.2 |"]
    assert "Made on 2026-01-02 by revision abc1234 on A Processor." in lines
    assert "| encoder | SST-2 (3 seeds) | STS-B (1 seed) | mean | CPU seconds |" in lines
    assert "| 1/2 | 100.0% | 90.0% | 95.0% | 90 to 100 |" in lines
    assert "| 1/4 | 90.0% | 80.0% | 85.0% | 70 to 80 |" in lines
    assert filled(found, facts) == found


_CONTEXT = "Ada wrote it in 1843. Was it read? It was. Then Babbage died in London."


def _asked(question, answer):
    return {"context": _CONTEXT, "question": question, "answers": {"answer_start": [_CONTEXT.index(answer)]}}


def test_sentences_begin_where_they_stand_in_their_text():
    found = sentences(_CONTEXT)
    assert [text for _, text in found] == [
        "Ada wrote it in 1843.",
        "Was it read?",
        "It was.",
        "Then Babbage died in London.",
    ]
    assert all(_CONTEXT[start:].startswith(text) for start, text in found)


def test_the_sentence_in_which_an_answer_begins_is_the_relevant_one():
    found = squad_ranking([_asked(" When was it written?", "1843"), _asked("Where did he die?", "London")])
    assert list(found) == ["When was it written?", "Where did he die?"]
    assert [[text for text, gold in texts.items() if gold] for texts in found.values()] == [
        ["Ada wrote it in 1843."],
        ["Then Babbage died in London."],
    ]
    assert squad_ranking([{"context": "One.", "question": "?", "answers": {"answer_start": [0]}}]) == {}


def test_a_sentence_has_the_kinds_of_all_questions_that_it_answers():
    asked = [
        _asked("Who wrote it?", "Ada"),
        _asked("In what year was it written?", "1843"),
        _asked("Say where", "London"),
    ]
    found = squad_labels(asked)
    assert found["Ada wrote it in 1843."] == {"who", "when"}
    assert found["Then Babbage died in London."] == {"where"}
    assert found["It was."] == set()


def test_what_is_most_like_a_question_stands_beside_its_answer():
    rows = [
        {"question": "Who rides the horse?", "sentence": "Ada rides the horse.", "label": 0},
        {"question": "Who sells bread?", "sentence": "The baker sells bread.", "label": 0},
        {"question": "Who sells bread?", "sentence": "Nobody sells the horse.", "label": 1},
    ]
    found = qnli_ranking(rows, 2)
    assert found["Who rides the horse?"] == {"Ada rides the horse.": 1, "Nobody sells the horse.": 0}
    assert qnli_ranking(rows, 2, without=["Who rides the horse?"]).keys() == {"Who sells bread?"}


def test_what_vectors_are_worth_does_not_depend_on_where_they_all_point():
    rng, count = np.random.default_rng(0), 20
    pairs, texts = rng.normal(size=(2 * count, 8)), rng.normal(size=(2 * count, 8))
    scores = (embedding.directions(pairs)[::2] * embedding.directions(pairs)[1::2]).sum(axis=1)
    rows = [np.array([1, 2], np.int32)] * (2 * count)
    split = Split(rows, None, np.zeros((2 * count, 0), np.float32), relations=Pairs(scores))
    data = embedding.Data(split, split, [{place: 1.0} for place in range(count)], pad=0)
    whole = [pairs, texts]
    same = embedding._numbers(whole, whole, data)
    assert (same["cosine"], same["share"], same["recall"]) == pytest.approx((1, 1, 1))
    assert same["share_interval"] == pytest.approx((1, 1))
    rotation = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    turned = embedding._numbers([part @ rotation for part in whole], whole, data)
    assert turned["cosine"] < 0.5
    assert (turned["share"], turned["recall"], turned["ndcg"]) == pytest.approx((1, 1, same["ndcg"]))
    noisy = embedding._numbers([part + 2 * rng.normal(size=part.shape) for part in whole], whole, data)
    assert noisy["share_interval"][0] < noisy["share"] < noisy["share_interval"][1] < 1
    assert noisy["recall"] < 0.9
