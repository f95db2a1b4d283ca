from dataclasses import replace

from .family import MODELING
from .roberta import ROBERTA

XLM_ROBERTA = replace(ROBERTA, model_type="xlm-roberta", extracted=f"{MODELING}:ExtractedXLMRobertaConfig")
