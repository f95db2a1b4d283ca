from .family import TANH, HeadPaths, ModelFamily, bert_like_embeddings, bert_like_layers

BERT = ModelFamily(
    model_type="bert",
    base="bert",
    layers="bert.encoder.layer",
    layer=bert_like_layers(),
    embeddings=bert_like_embeddings("bert"),
    head=HeadPaths(dense="bert.pooler.dense", activation=TANH, classifier="classifier", drops_input=False),
)
