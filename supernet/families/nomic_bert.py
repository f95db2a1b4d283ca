from transformers import PreTrainedConfig

from .family import EMBEDDING, MODELING, TANH, Biases, EmbeddingPaths, HeadPaths, LayerPaths, ModelFamily
from .positions import rotary_attention


def _biases(config: PreTrainedConfig) -> Biases:
    return Biases(attention=False, ffn_in=False, ffn_out=False)


NOMIC_BERT = ModelFamily(
    model_type="nomic_bert",
    base="nomic_bert",
    layers="nomic_bert.layers",
    extracted=f"{MODELING}:ExtractedNomicBertConfig",
    layer=LayerPaths(
        qkv=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        attention_output="self_attn.o_proj",
        attention_norm="post_attention_layernorm",
        ffn_in=("mlp.gate_proj", "mlp.up_proj"),
        ffn_out="mlp.down_proj",
        ffn_norm="post_mlp_layernorm",
    ),
    embeddings=EmbeddingPaths(
        word="nomic_bert.embeddings.word_embeddings",
        norm="nomic_bert.embeddings.LayerNorm",
        token_type="nomic_bert.embeddings.token_type_embeddings",
    ),
    heads={
        "sequence-classification": HeadPaths("classifier", dense="nomic_bert.pooler.dense", activation=TANH),
        "token-classification": HeadPaths("classifier", drops_input=True),
        "embedding": EMBEDDING,
    },
    gated=True,
    biases=_biases,
    attention=rotary_attention,
    head_size="head_dim",
)
