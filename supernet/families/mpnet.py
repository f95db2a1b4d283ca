from collections.abc import Sequence
from typing import Any

import numpy as np
from transformers import PreTrainedConfig

from ...errors import InputError
from ...search_space import SubnetMask
from .family import MODELING, TANH, EmbeddingPaths, HeadPaths, LayerPaths, ModelFamily, bert_like_heads
from .positions import BUCKETS

_PAD = 1  # transformers counts positions from it, whatever the configuration says


def _check(config: PreTrainedConfig) -> None:
    if config.relative_attention_num_buckets != BUCKETS:
        raise InputError(
            f"the configuration's relative_attention_num_buckets is {config.relative_attention_num_buckets}, but an "
            f"MPNet has a table of {BUCKETS} biases by distance; give another model"
        )
    if config.pad_token_id != _PAD:
        raise InputError(
            f"the configuration's pad_token_id is {config.pad_token_id}, but the positions of an MPNet count from "
            f"{_PAD}; write {_PAD} into config.json, and see that it is the tokenizer's padding"
        )


def _settings(config: PreTrainedConfig, mask: SubnetMask, layers: Sequence[int]) -> dict[str, Any]:
    kept = [np.flatnonzero(mask.heads[layer]).tolist() for layer in layers]
    return {"table_heads": int(config.num_attention_heads), "kept_heads": kept}


MPNET = ModelFamily(
    model_type="mpnet",
    base="mpnet",
    layers="mpnet.encoder.layer",
    extracted=f"{MODELING}:ExtractedMPNetConfig",
    layer=LayerPaths(
        qkv=("attention.attn.q", "attention.attn.k", "attention.attn.v"),
        attention_output="attention.attn.o",
        attention_norm="attention.LayerNorm",
        ffn_in=("intermediate.dense",),
        ffn_out="output.dense",
        ffn_norm="output.LayerNorm",
    ),
    embeddings=EmbeddingPaths(
        word="mpnet.embeddings.word_embeddings",
        norm="mpnet.embeddings.LayerNorm",
        position="mpnet.embeddings.position_embeddings",
    ),
    heads=bert_like_heads(
        HeadPaths("classifier.out_proj", dense="classifier.dense", activation=TANH, drops_input=True, dropout=None)
    ),
    relative_bias="mpnet.encoder.relative_attention_bias",
    padding_attends=True,
    positions_from_padding=True,
    settings_of_part=_settings,
    check=_check,
)
