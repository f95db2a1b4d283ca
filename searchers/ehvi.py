"""Bayesian search with Syne Tune's expected hypervolume improvement, the method of the paper."""

from __future__ import annotations

import warnings

import numpy as np

from ..errors import InputError
from .box import Box, Points, Values
from .model_based import ModelBasedSearcher


class EHVI(ModelBasedSearcher):
    """Syne Tune's EHVI (BoTorch underneath), mended.

    Raises:
        InputError: Syne Tune or BoTorch is not installed.

    Source: Klein et al., TMLR 2024 (their final searcher); Daulton et al., NeurIPS 2020.
    """

    name = "ehvi"
    startup = 5

    def __init__(self, box: Box) -> None:
        super().__init__(box)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the imports alone
                import botorch  # noqa: F401  Syne Tune swallows its absence
                from syne_tune.config_space import randint

                from .mended_ehvi import MendedEHVI
        except ImportError as error:
            raise InputError(
                f"the searcher 'ehvi' needs Syne Tune and BoTorch ({error}); pip install secateur[syne-tune], or "
                "choose 'gp'"
            ) from error
        self._model = MendedEHVI
        # Fixed width, because Syne Tune sorts the coordinates by name.
        self._space = {f"x{i:06d}": randint(int(box.lower[i]), int(box.upper[i])) for i in box.free}

    def _propose(self, xs: Points, values: Values, pending: Points, seed: int) -> Points | None:
        def config(x: Points) -> dict[str, int]:
            return dict(zip(self._space, x.tolist(), strict=True))

        model = self._model(self._space, random_seed=seed)
        for x, row in zip(xs, values, strict=True):
            model.on_trial_complete(model.register(config(x)), config(x), row.tolist())
        for x in pending:
            model.register(config(x))
        found = model.suggest()
        return None if found is None else np.array([found[name] for name in self._space], dtype=np.int64)
