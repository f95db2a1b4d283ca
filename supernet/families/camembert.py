from dataclasses import replace

from .family import MODELING
from .roberta import ROBERTA

CAMEMBERT = replace(ROBERTA, model_type="camembert", extracted=f"{MODELING}:ExtractedCamembertConfig")
