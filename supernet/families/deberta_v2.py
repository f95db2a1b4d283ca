from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedConfig

from ...errors import InputError
from ...search_space import SubnetMask
from .family import EMBEDDING, MODELING, EmbeddingPaths, HeadPaths, LayerPaths, ModelFamily
from .positions import disentangled_attention


def _check(config: PreTrainedConfig) -> None:
    if getattr(config, "conv_kernel_size", 0) > 0:
        raise InputError(
            "the configuration has a convolution behind the first layer (conv_kernel_size), which is not supported, as "
            "the larger models of DeBERTa's version 2 have it; give one of version 3"
        )
    size = getattr(config, "embedding_size", config.hidden_size)
    if size != config.hidden_size:
        raise InputError(
            f"the configuration's embedding_size is {size}, but only embeddings of the encoder's own width, "
            f"{config.hidden_size}, are supported for the family deberta-v2; give another model"
        )


def _settings(config: PreTrainedConfig, mask: SubnetMask, layers: Sequence[int]) -> dict[str, Any]:
    return {"embedding_size": mask.hidden_size} if hasattr(config, "embedding_size") else {}


DEBERTA_V2 = ModelFamily(
    model_type="deberta-v2",
    base="deberta",
    layers="deberta.encoder.layer",
    extracted=f"{MODELING}:ExtractedDebertaV2Config",
    layer=LayerPaths(
        qkv=("attention.self.query_proj", "attention.self.key_proj", "attention.self.value_proj"),
        attention_output="attention.output.dense",
        attention_norm="attention.output.LayerNorm",
        ffn_in=("intermediate.dense",),
        ffn_out="output.dense",
        ffn_norm="output.LayerNorm",
    ),
    embeddings=EmbeddingPaths(
        word="deberta.embeddings.word_embeddings",
        norm="deberta.embeddings.LayerNorm",
        position="deberta.embeddings.position_embeddings",
        token_type="deberta.embeddings.token_type_embeddings",
        types_optional=True,
    ),
    heads={
        "sequence-classification": HeadPaths(
            "classifier", dense="pooler.dense", activation="pooler_hidden_act", dropout="cls_dropout"
        ),
        "question-answering": HeadPaths("qa_outputs", dropout=None),
        "token-classification": HeadPaths("classifier", drops_input=True, dropout="hidden_dropout_prob"),
        "embedding": EMBEDDING,
    },
    attention=disentangled_attention,
    distances="deberta.encoder.rel_embeddings",
    distances_norm="deberta.encoder.LayerNorm",
    masks_embeddings=True,
    padding_attends=True,
    settings_of_part=_settings,
    check=_check,
)
