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
            "classify or rate); tagging (words to tag); embedding (texts to make vectors of, without labels)"
        ),
    ]
    out: Annotated[Path, Field(description="the run folder, made if it is not there")]
    data: Annotated[
        Path | None,
        Field(description="read this folder (or file, for `local`, `tagging` and `embedding`) instead of the hub"),
    ] = None
    text_column: Annotated[
        str | None, Field(description="local files: the column of texts (text), or of a sentence's words (tokens)")
    ] = None
    text_pair_column: Annotated[str | None, Field(description="local files: the column of second texts")] = None
    label_column: Annotated[
        str | None, Field(description="local files: the column of labels (label), or of the words' tags (ner_tags)")
    ] = None
    kind: Annotated[
        Literal["classification", "regression"] | None, Field(description="local files: told, not guessed")
    ] = None
    metric: Annotated[
        str | None,
        Field(
            description="not the usual one: accuracy, f1, matthews, pearson, spearman for local files; squad_f1, "
            "exact_match; entity_f1, token_accuracy; agreement, retrieval_recall, retrieval_ndcg, sts_spearman"
        ),
    ] = None
    positive: Annotated[
        str | None,
        BeforeValidator(as_text),
        Field(description="local files: the class that f1 is the F1 of; the rarer of two if not given"),
    ] = None
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
