from .family import MODELING, TANH, HeadPaths, ModelFamily, bert_like_embeddings, bert_like_heads, bert_like_layers

BERT = ModelFamily(
    model_type="bert",
    base="bert",
    layers="bert.encoder.layer",
    extracted=f"{MODELING}:ExtractedBertConfig",
    layer=bert_like_layers(),
    embeddings=bert_like_embeddings("bert"),
    heads=bert_like_heads(HeadPaths("classifier", dense="bert.pooler.dense", activation=TANH)),
)
