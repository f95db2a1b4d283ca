"""Which head a checkpoint has, and whether its labels are the task's."""

import pytest
import torch
from secateur.errors import InputError
from secateur.search_space import SubnetMask
from secateur.supernet.extraction import extract
from secateur.supernet.heads import head_of
from secateur.supernet.stored.labels import check_labels, class_names, head_labels
from secateur.supernet.supernet import Supernet
from secateur.supernet.training.finetuning import finetune
from secateur.tests.conftest import HEADS
from secateur.tests.supernet import toy
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForMultipleChoice,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
)


def tiny_config(**more) -> BertConfig:
    sizes = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    return BertConfig(intermediate_size=8, max_position_embeddings=24, **(sizes | more))


def test_head_of_every_family(headed, tmp_path):
    headed.save_pretrained(tmp_path)
    labels = {head: headed.config.num_labels if head == head_of(headed) else None for head in HEADS}
    assert {head: head_labels(tmp_path, head) for head in HEADS} == labels
    if head_of(headed) == "embedding":
        assert head_labels(tmp_path, "embedding") == 1
    else:
        with pytest.raises(InputError, match=f"has a head for {head_of(headed)}, but vectors are made by a model"):
            head_labels(tmp_path, "embedding")
    assert head_labels(str(tmp_path)) == labels["sequence-classification"]


def test_head_of_an_extracted_model(headed, tmp_path):
    supernet = Supernet(headed)
    extract(headed, SubnetMask.from_counts(supernet.shape, [1, 0, 3], [5, 24, 0], 9)).save_pretrained(tmp_path)
    assert head_labels(tmp_path, head_of(headed)) == (1 if head_of(headed) == "embedding" else headed.config.num_labels)


@pytest.mark.parametrize("kind", [BertModel, BertForMaskedLM, BertForTokenClassification, BertForMultipleChoice])
def test_no_head(kind, tmp_path):
    config = tiny_config(num_labels=5)
    model = kind(config, add_pooling_layer=True) if kind is BertModel else kind(config)
    model.save_pretrained(tmp_path)
    assert head_labels(tmp_path) is None
    assert head_labels(tmp_path, "question-answering") is None


def test_head_in_several_files(tmp_path):
    BertForSequenceClassification(tiny_config(num_labels=5)).save_pretrained(tmp_path, max_shard_size="2KB")
    assert not (tmp_path / "model.safetensors").exists()
    assert head_labels(tmp_path) == 5


def test_head_in_an_old_file(tmp_path):
    model = BertForSequenceClassification(tiny_config(num_labels=5))
    model.config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    assert head_labels(tmp_path) == 5


def test_checkpoints_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="there is no folder"):
        head_labels(tmp_path / "absent")
    BertForSequenceClassification(tiny_config()).save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(InputError, match=r"cannot load the model .* damaged, incomplete") as caught:
        head_labels(tmp_path)
    assert "\n" not in str(caught.value)
    weights.unlink()
    with pytest.raises(InputError, match=r"cannot load the model .* no model\.safetensors"):
        head_labels(tmp_path)


def named(*names: str) -> BertConfig:
    return tiny_config(id2label=dict(enumerate(names)), label2id={name: i for i, name in enumerate(names)})


@pytest.mark.parametrize(
    "names", [("red", "green", "blue"), ("Red", "GREEN", "blue"), ("LABEL_0", "LABEL_1", "LABEL_2"), ("x", "y", "z")]
)
def test_labels_that_may_be_the_tasks(names):
    check_labels(named(*names), toy.toy_task())


def test_labels_that_are_not_the_tasks():
    with pytest.raises(InputError, match=r"a head for 2 labels, but the task 'toy' has 3 \(red, green, blue\)"):
        check_labels(named("red", "green"), toy.toy_task())
    with pytest.raises(InputError, match="labels are blue, red, green, in this order, but those of the task 'toy' are"):
        check_labels(named("BLUE", "Red", "green"), toy.toy_task())
    with pytest.raises(InputError, match="a head for 2 labels"):
        finetune(BertForSequenceClassification(tiny_config()), toy.toy_task(), toy.FINETUNE, seed=0)


def test_labels_of_other_heads():
    answers = toy.toy_task(kind="question-answering")
    check_labels(named("LABEL_0", "LABEL_1"), answers)  # as models for SQuAD have them
    tags = toy.toy_task(kind="token-classification")
    check_labels(named("O", "b-x", "i-X"), tags)
    with pytest.raises(InputError, match="labels are b-x, o, i-x, in this order, but those of the task 'toy' are"):
        check_labels(named("B-X", "O", "I-X"), tags)


def test_names_of_classes():
    assert class_names(named("pos", "neg")) == ("pos", "neg")
    assert class_names(tiny_config(num_labels=12)) == tuple(f"LABEL_{i}" for i in range(12))
