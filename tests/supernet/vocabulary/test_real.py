"""A real vocabulary and real sentences, where they are there."""

from pathlib import Path

import pyarrow.parquet
import pytest
from secateur.errors import InputError
from secateur.supernet.stored.storage import load_config, load_tokenizer
from secateur.supernet.vocabulary.cutting import cut_tokenizer
from secateur.supernet.vocabulary.keeping import kept_tokens, text_counts
from secateur.tasks import demo_model_folder

from .spellers import spelled

GLUE = Path(__file__).parents[3].parent / "shared" / "data" / "glue"


@pytest.fixture(scope="module")
def folder():
    try:
        return demo_model_folder()
    except InputError:
        pytest.skip("the extra `demo`, with MiniLM's tokenizer, is not installed")


def column(path, name, rows):
    if not (GLUE / path).is_file():
        pytest.skip(f"{GLUE / path} is not there")
    return pyarrow.parquet.read_table(GLUE / path, columns=[name])[name].to_pylist()[:rows]


@pytest.mark.parametrize("most", [None, 8000])
def test_minilm_reads_sentences_as_before(folder, most):
    tokenizer = load_tokenizer(folder)
    corpus = column("sst2/train.parquet", "sentence", 20_000)
    texts = [*corpus[-3000:], *column("sst2/validation.parquet", "sentence", None)]
    texts += column("qnli/validation.parquet", "question", 1000)
    kept = kept_tokens(tokenizer, load_config(folder), text_counts(tokenizer, corpus), most)
    made, numbers, same = cut_tokenizer(tokenizer, kept), kept.numbers, 0
    assert made.unk_token_id == numbers[tokenizer.unk_token_id]
    for text, old, new in zip(texts, spelled(tokenizer, texts), spelled(made, texts), strict=True):
        if numbers.keys() >= {*old}:
            same += 1
            assert [numbers[one] for one in old] == new, text
        else:
            assert len(new) >= len(old), text
            assert made.unk_token_id not in new or tokenizer.unk_token_id in old, text
    assert same > 2000
