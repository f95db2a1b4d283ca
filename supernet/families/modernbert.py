from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedConfig

from ...search_space import SubnetMask
from .family import EMBEDDING, MODELING, Biases, DropoutNames, EmbeddingPaths, HeadPaths, LayerPaths, ModelFamily
from .positions import alternating_attention


def _biases(config: PreTrainedConfig) -> Biases:
    return Biases(config.attention_bias, config.mlp_bias, config.mlp_bias, config.norm_bias)


def _settings(config: PreTrainedConfig, mask: SubnetMask, layers: Sequence[int]) -> dict[str, Any]:
    kinds = [config.layer_types[layer] for layer in layers]
    return {"layer_types": kinds, "first_norm": bool(layers) and layers[0] > 0}


# The same for texts, tokens and answers.
_HEAD = HeadPaths(
    "classifier",
    dense="head.dense",
    activation="classifier_activation",
    norm="head.norm",
    pooling="classifier_pooling",
)

MODERNBERT = ModelFamily(
    model_type="modernbert",
    base="model",
    layers="model.layers",
    extracted=f"{MODELING}:ExtractedModernBertConfig",
    layer=LayerPaths(
        qkv=("attn.Wqkv",),
        attention_output="attn.Wo",
        attention_norm="attn_norm",
        ffn_in=("mlp.Wi",),
        ffn_out="mlp.Wo",
        ffn_norm="mlp_norm",
    ),
    embeddings=EmbeddingPaths(word="model.embeddings.tok_embeddings", norm="model.embeddings.norm"),
    heads={
        "sequence-classification": _HEAD,
        "question-answering": _HEAD,
        "token-classification": _HEAD,
        "embedding": EMBEDDING,
    },
    pre_norm=True,
    first_norm=False,
    final_norm="model.final_norm",
    gated=True,
    biases=_biases,
    attention=alternating_attention,
    activation="hidden_activation",
    dropout_rates=DropoutNames(
        embeddings="embedding_dropout",
        attention="attention_dropout",
        attention_output="attention_dropout",
        neurons="mlp_dropout",
        ffn_output=None,
    ),
    norm_epsilon="norm_eps",
    settings_of_part=_settings,
)
