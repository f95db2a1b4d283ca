from dataclasses import replace

from .family import (
    MODELING,
    TANH,
    EmbeddingPaths,
    HeadPaths,
    LayerPaths,
    all_biases,
    bert_like_heads,
)
from .nomic_bert import NOMIC_BERT

JINA_EMBEDDINGS_V3 = replace(
    NOMIC_BERT,
    model_type="jina_embeddings_v3",
    base="roberta",
    layers="roberta.layers",
    extracted=f"{MODELING}:ExtractedJinaEmbeddingsV3Config",
    layer=LayerPaths(
        qkv=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        attention_output="self_attn.o_proj",
        attention_norm="post_attention_layernorm",
        ffn_in=("mlp.fc1",),
        ffn_out="mlp.fc2",
        ffn_norm="post_mlp_layernorm",
    ),
    embeddings=EmbeddingPaths(
        word="roberta.embeddings.word_embeddings",
        norm="roberta.embeddings.LayerNorm",
        token_type="roberta.embeddings.token_type_embeddings",
    ),
    heads=bert_like_heads(
        HeadPaths("classifier.out_proj", dense="classifier.dense", activation=TANH, drops_input=True)
    ),
    gated=False,
    biases=all_biases,
)
