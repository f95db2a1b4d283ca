"""What each stage and verb can be told: a file for each; field descriptions are the help texts."""

from .all import AllSettings
from .choice import BUDGETS, Budgets, FrontSettings, ModelChoice, PickSettings
from .compare import CompareSettings
from .ladder import BLOCKS, SHARES, LadderSettings, LadderVerb
from .latency import LatencySettings, LatencyVerb
from .parsing import CORPUS, parse_amounts, parse_densities, parse_shares, parse_vocabulary
from .project import ProjectSettings
from .prune import PruneSettings, PruneVerb
from .recovery import RecoverOptions, RefitSettings
from .search import FarmSettings, SearchSettings, SearchVerb, StandardSettings
from .ship import ExportSettings, ExtractSettings, NestSettings, VocabularySettings
from .training import FinetuneVerb, SupernetVerb, TrackingSettings

__all__ = [
    "BLOCKS",
    "BUDGETS",
    "CORPUS",
    "SHARES",
    "AllSettings",
    "Budgets",
    "CompareSettings",
    "ExportSettings",
    "ExtractSettings",
    "FarmSettings",
    "FinetuneVerb",
    "FrontSettings",
    "LadderSettings",
    "LadderVerb",
    "LatencySettings",
    "LatencyVerb",
    "ModelChoice",
    "NestSettings",
    "PickSettings",
    "ProjectSettings",
    "PruneSettings",
    "PruneVerb",
    "RecoverOptions",
    "RefitSettings",
    "SearchSettings",
    "SearchVerb",
    "StandardSettings",
    "SupernetVerb",
    "TrackingSettings",
    "VocabularySettings",
    "parse_amounts",
    "parse_densities",
    "parse_shares",
    "parse_vocabulary",
]
