"""Tiny random models and a tokenizer, made from code: nothing is downloaded."""

import copy

import numpy as np
import torch
import transformers
from secateur.supernet import Supernet
from secateur.supernet.heads import ENDINGS
from secateur.supernet.sentence import embedder
from secateur.supernet.sentence_head import SentenceHead
from secateur.tasks.batches import Batch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import logging

logging.disable_progress_bar()

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "good", "bad", "film", "truly", "##ly", "not", "very", "!"]
VOCABULARY = 40


# Beginnings of classes' names, and what tells one layout from the others.
_LAYOUTS = {
    "bert": ("Bert", {"intermediate_size": 24}),
    "roberta": ("Roberta", {"intermediate_size": 24}),
    "xlm-roberta": ("XLMRoberta", {"intermediate_size": 24}),
    "camembert": ("Camembert", {"intermediate_size": 24}),
    "distilbert": ("DistilBert", {"hidden_dim": 24}),
    "electra": ("Electra", {"intermediate_size": 24, "embedding_size": 16}),
    "electra with projection": ("Electra", {"intermediate_size": 24, "embedding_size": 8}),
    "mpnet": ("MPNet", {"intermediate_size": 24}),
    "nomic_bert": (
        "NomicBert",
        {"intermediate_size": 24, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1},
    ),
    "gte": ("Gte", {"intermediate_size": 24, "type_vocab_size": 2}),
    "jina_embeddings_v3": ("JinaEmbeddingsV3", {"intermediate_size": 24}),
    "deberta-v2": (
        "DebertaV2",
        {
            "intermediate_size": 24,
            "relative_attention": True,
            "share_att_key": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_buckets": 4,
            "norm_rel_ebd": "layer_norm",
            "position_biased_input": False,
        },
    ),
    "modernbert": (
        "ModernBert",
        {
            "intermediate_size": 24,
            "local_attention": 6,
            **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 0),
            **dict.fromkeys(("embedding_dropout", "attention_dropout", "mlp_dropout", "classifier_dropout"), 0.1),
        },
    ),
}


def tiny_model(name: str, head: str = "sequence-classification", **changes: object) -> PreTrainedModel:
    """Return a random model of 3 layers, 4 heads of 4, 24 neurons and 3 classes, in evaluation mode.

    One for question answering has two outputs, one for embedding vectors of width 3; `changes` are the configuration's.
    Its weights are larger than a fresh model's, so that different subnetworks differ visibly.
    """
    family, own = _LAYOUTS[name]
    labels = 2 if head == "question-answering" else 3
    sizes = {"vocab_size": VOCABULARY, "max_position_embeddings": 24, "num_labels": labels, "initializer_range": 0.25}
    sizes |= {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 4, **own, **changes}
    generator_state = torch.get_rng_state()
    torch.manual_seed(len(name))
    config = getattr(transformers, f"{family}Config")(**sizes)
    if head == "embedding":
        encoder = getattr(transformers, f"{family}Model")(config)
        encoder.pooler = None
        told = SentenceHead(3, activation="tanh", normalize=True, bias=True)
        model = embedder(encoder, told, {"weight": torch.randn(3, 16), "bias": torch.randn(3)})
    else:
        model = getattr(transformers, f"{family}{ENDINGS[head]}")(config)
    with torch.no_grad():  # biases and LayerNorms start as zeros and ones, which would hide mistakes with them
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter), alpha=0.2)
    torch.set_rng_state(generator_state)
    return model.eval()


def tiny_regressor() -> PreTrainedModel:
    """Return a fresh BERT of one layer, 2 heads of 8, 24 neurons and one output."""
    torch.manual_seed(0)
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 16, "intermediate_size": 24, "max_position_embeddings": 24}
    config = transformers.BertConfig(num_hidden_layers=1, num_attention_heads=2, num_labels=1, **sizes)
    return transformers.BertForSequenceClassification(config).eval()


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Return a WordPiece tokenizer of a few words, as BERT has one."""
    backend = Tokenizer(models.WordPiece({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=24, **special)


def same_weights(one: PreTrainedModel, other: PreTrainedModel) -> bool:
    """Say whether two models have the same weights, bit for bit.

    Their outputs may differ in the last bits: weights from a file lie at another alignment in memory, and some
    processors add in another order then.
    """
    left, right = one.state_dict(), other.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def padded_batch(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Return three random rows of 7, 4 and 1 tokens, with two segments where the family knows segments."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(4, VOCABULARY, (3, 7), generator=generator)
    attention_mask = (torch.arange(7) < torch.tensor([[7], [4], [1]])).long()
    ids[attention_mask == 0] = model.config.pad_token_id
    batch = {"input_ids": ids, "attention_mask": attention_mask}
    if getattr(model.config, "type_vocab_size", 0) > 1:
        batch["token_type_ids"] = (torch.arange(7) >= 3).long().expand(3, 7) * attention_mask
    return batch


def with_copies(tiny: PreTrainedModel) -> PreTrainedModel:
    """Return a copy of a tiny model of three layers whose last heads and neurons are copies of the first."""
    model = copy.deepcopy(tiny)
    family = Supernet(model).family
    with torch.no_grad():
        if family.relative_bias is not None:
            table = model.get_parameter(f"{family.relative_bias}.weight")
            table[:, 2:] = table[:, :2]
        for layer in range(3):
            for part, kept, whole in (("qkv", 8, 16), ("ffn_in", 6, 24)):
                for path in family.layer_paths(layer, part):
                    module = model.get_submodule(path)
                    for one in (module.weight, module.bias):
                        if one is not None:
                            by_unit = one.view(family.stacked(part), whole, -1)
                            by_unit[:, kept:] = by_unit[:, :kept].repeat(1, whole // kept - 1, 1)
    return model


def random_batch(model, rng, texts=None, tokens=None):
    """Draw texts of several lengths, padded on the right; a single one may be, too."""
    texts, tokens = texts or int(rng.integers(1, 6)), tokens or int(rng.integers(1, 21))
    real = np.arange(tokens) < rng.integers(1, tokens + 1, (texts, 1))
    ids = np.where(real, rng.integers(4, VOCABULARY, real.shape), model.config.pad_token_id)
    types = rng.integers(0, 2, real.shape) if getattr(model.config, "type_vocab_size", 0) > 1 else None
    tensors = (torch.from_numpy(ids), None if types is None else torch.from_numpy(types), torch.from_numpy(real))
    return Batch(*tensors, torch.zeros(texts), np.arange(texts))
