from .family import TANH, HeadPaths, ModelFamily, bert_like_embeddings, bert_like_layers

ROBERTA = ModelFamily(
    model_type="roberta",
    base="roberta",
    layers="roberta.encoder.layer",
    layer=bert_like_layers(),
    embeddings=bert_like_embeddings("roberta"),
    head=HeadPaths(dense="classifier.dense", activation=TANH, classifier="classifier.out_proj", drops_input=True),
    positions_from_padding=True,
)
