"""What a run is about."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from ...supernet.training.settings import MOST
from .base import LARGEST_SEED, Settings, as_text


class ProjectSettings(Settings):
    """What a run is about; the same for all its stages, and kept in its run.json."""

    model: Annotated[
        str, Field(description="a folder or a hub name; `demo` is the MiniLM that comes with secateur[demo]")
    ]
    task: Annotated[
        str,
        Field(
            description="demo; a GLUE task: cola, sst2, mrpc, qqp, stsb, mnli, ...; squad or squad_v2; local (texts to "
            "classify or rate); multilabel (texts with any number of labels); ranking (texts for queries); tagging "
            "(words to tag); embedding (texts to make vectors of, without labels)"
        ),
    ]
    out: Annotated[Path, Field(description="the run folder, made if it is not there")]
    data: Annotated[
        Path | None,
        Field(description="read this folder instead of the hub; all but GLUE and squad take a file and a pattern, too"),
    ] = None
    dataset: Annotated[
        str | None,
        Field(
            description="local, multilabel, ranking, tagging, squad: a data set on the Hugging Face hub, by its name, "
            "copied into the run folder; instead of `data`",
        ),
    ] = None
    dataset_config: Annotated[
        str | None, Field(description="which of several data sets of that name, as the hub calls it")
    ] = None
    text_column: Annotated[
        str | None,
        Field(
            description="local files: the column of texts (text), of queries (query), or of a sentence's words (tokens)"
        ),
    ] = None
    text_pair_column: Annotated[
        str | None, Field(description="local files: the column of second texts; of a query's (text)")
    ] = None
    label_column: Annotated[
        str | None,
        Field(
            description="local files: the column of labels (label), of lists of labels (labels; or columns of 0 and 1, "
            "with commas), or of the words' tags (ner_tags)"
        ),
    ] = None
    group_column: Annotated[
        str | None,
        Field(
            description="local files and questions: a column of what rows belong together by (a user, a document, a "
            "query), none of which is on two sides of a split"
        ),
    ] = None
    labels: Annotated[
        Literal["none"] | None,
        Field(
            description="none: labels are not looked at, be there any or not; the model, fine-tuned already, answers "
            "in their place, and smaller ones are held to its answers"
        ),
    ] = None
    kind: Annotated[
        Literal["classification", "regression"] | None, Field(description="local files: told, not guessed")
    ] = None
    metric: Annotated[
        str | None,
        Field(
            description="not the usual one: accuracy, f1, macro_f1, weighted_f1, balanced_accuracy, matthews, auroc, "
            "average_precision, recall_at_precision, log_loss, calibration_error, pearson, spearman for local files; "
            "micro_f1; squad_f1, exact_match; entity_f1, token_accuracy; agreement, retrieval_recall, retrieval_ndcg, "
            "sts_spearman of vectors; or your own, mypackage.module:function"
        ),
    ] = None
    positive: Annotated[
        str | None,
        BeforeValidator(as_text),
        Field(description="local files: the class that f1 is the F1 of; the rarer of two if not given"),
    ] = None
    precision_floor: Annotated[
        float | None, Field(gt=0, le=1, description="the precision of recall_at_precision; 0.9 if not given")
    ] = None
    loss: Annotated[
        str | None,
        Field(description="a loss of your own that labels teach: mypackage.module:function of outputs and labels"),
    ] = None
    class_weights: Annotated[
        Literal["balanced"] | None,
        Field(description="balanced: all classes count alike in the loss of labels, however rare they are"),
    ] = None
    ranking_loss: Annotated[
        Literal["pointwise", "listwise"],
        Field(description="what labels of a ranking teach: each text by itself, or all of a query's together"),
    ] = "pointwise"
    window_length: Annotated[
        int | None,
        Field(ge=1, le=MOST, description="tokens of a question with a piece of its context; 384 if not given"),
    ] = None
    window_stride: Annotated[
        int | None,
        Field(ge=0, le=MOST, description="tokens that the pieces of a long context share; a third of the length"),
    ] = None
    train_limit: Annotated[int | None, Field(ge=1, le=MOST, description="train on so many rows, drawn by the seed")] = (
        None
    )
    selection_fraction: Annotated[
        float, Field(gt=0, lt=1, description="share of train held out for the search to choose on")
    ] = 0.2
    selection_limit: Annotated[int, Field(ge=1, le=MOST, description="at most so many rows of it")] = 2048
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED, description="of splits, training and search")] = 0
