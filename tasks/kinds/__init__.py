"""The kinds of tasks: which head a model needs, what its outputs are taught, and what a metric compares."""

from .embedding import Embedding
from .kind import UNLABELLED, Head, Kind, KindName
from .multilabel import Multilabel
from .question_answering import QuestionAnswering
from .ranking import Ranking
from .sequences import Classification, Regression
from .token_classification import TokenClassification

KINDS: dict[KindName, Kind] = {
    kind.name: kind
    for kind in (
        Classification(),
        Regression(),
        Multilabel(),
        Ranking(),
        QuestionAnswering(),
        TokenClassification(),
        Embedding(),
    )
}

__all__ = ["KINDS", "UNLABELLED", "Head", "Kind", "KindName"]
