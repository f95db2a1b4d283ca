from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

DATA = Path(__file__).parents[2].parent / "shared" / "data"
SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}


def wordpiece(types: bool = True, **arguments) -> PreTrainedTokenizerFast:
    """A WordPiece tokenizer over letters: one token per letter, so lengths are easy to count by hand."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)] + list("0123456789.,:;!?'`$%&()-/")
    pieces = [*SPECIAL.values(), *letters, *(f"##{letter}" for letter in letters)]
    vocab = {piece: i for i, piece in enumerate(pieces)}
    backend = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.BertProcessing(("[SEP]", vocab["[SEP]"]), ("[CLS]", vocab["[CLS]"]))
    inputs = ["input_ids", *(["token_type_ids"] if types else []), "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_input_names=inputs, **(SPECIAL | arguments))


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return wordpiece()


@pytest.fixture(scope="session")
def tokenizer_without_types() -> PreTrainedTokenizerFast:
    """Like DistilBERT's."""
    return wordpiece(types=False)


@pytest.fixture(scope="session")
def tokenizer_without_padding() -> PreTrainedTokenizerFast:
    """Like GPT-2's."""
    return wordpiece(pad_token=None)


@pytest.fixture
def shared() -> Path:
    if not (DATA / "glue").is_dir():
        pytest.skip("the real GLUE files are not beside the repository")
    return DATA / "glue"


@pytest.fixture
def shared_squad() -> Path:
    if not (DATA / "squad").is_dir():
        pytest.skip("the real SQuAD files are not beside the repository")
    return DATA / "squad"


@pytest.fixture(scope="session")
def byte_tokenizer() -> PreTrainedTokenizerFast:
    """Like RoBERTa's: two special tokens between the texts of a pair, a token for each byte or letter after a space."""
    pieces = [*SPECIAL.values(), *sorted(pre_tokenizers.ByteLevel.alphabet())]
    merges = [("\u0120", chr(code)) for code in range(ord("a"), ord("z") + 1)]
    vocab = {piece: i for i, piece in enumerate([*pieces, *map("".join, merges)])}
    backend = Tokenizer(models.BPE(vocab, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.post_processor = processors.RobertaProcessing(
        ("[SEP]", vocab["[SEP]"]), ("[CLS]", vocab["[CLS]"]), trim_offsets=True, add_prefix_space=False
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, model_input_names=["input_ids", "attention_mask"], **SPECIAL
    )


@pytest.fixture(scope="session")
def slow_tokenizer() -> ByT5Tokenizer:
    """A tokenizer in Python, which does not tell where in a text its tokens stand."""
    return ByT5Tokenizer()
