"""Syne Tune's EHVI with its faults mended. Importing this imports Syne Tune, BoTorch and torch."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from botorch.acquisition import qLogExpectedImprovement
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.acquisition.multi_objective import qLogExpectedHypervolumeImprovement
from botorch.exceptions.errors import ModelFittingError
from botorch.fit import fit_gpytorch_mll
from botorch.models.model_list_gp_regression import ModelListGP
from botorch.optim import optimize_acqf
from botorch.sampling import SobolQMCNormalSampler
from botorch.utils.multi_objective.box_decompositions import FastNondominatedPartitioning
from botorch.utils.multi_objective.pareto import is_non_dominated
from gpytorch.mlls.sum_marginal_log_likelihood import SumMarginalLogLikelihood
from linear_operator.utils.errors import NotPSDError
from syne_tune.optimizer.schedulers.multiobjective.expected_hyper_volume_improvement import (
    ExpectedHyperVolumeImprovement,
)
from torch import Tensor

# Each objective is scaled to [-1, 0], maximised; the reference lies a tenth of the range beyond the worst.
_REFERENCE = -1.1


class MendedEHVI(ExpectedHyperVolumeImprovement):
    """Expected hypervolume improvement as it was meant.

    What differs from Syne Tune 0.16:

    - All is in double precision; there, a model of doubles meets a reference point of floats and BoTorch raises.
    - Objectives are scaled to [0, 1] before they are negated, and the reference point is worse than all results;
      there it is `+2`, better than any, so that no point can improve on it.
    - Points and values are paired by trial; there, by order of suggestion and order of completion.
    - The seed decides everything and the global generators are left alone; there, random points ignore it and the
      rest draws from torch's global generator, which every constructor seeds anew.
    - Points under way are believed to get what the model expects; there, the acquisition integrates over them
      jointly, which costs twice as much for each further one.
    - The best candidate that, rounded to integers, was not suggested before is taken; there, points repeat.
    - The acquisition is also climbed from changed points of the front, not from random points alone.
    """

    def __init__(self, config_space: dict[str, Any], *, random_seed: int) -> None:
        with torch.random.fork_rng(devices=[]):  # the parent seeds the global generator
            super().__init__(config_space, num_init_random=2, num_restarts=8, mc_samples=64, random_seed=random_seed)

    def register(self, config: dict[str, Any]) -> int:
        """Take a configuration that is under way, as if it had been suggested, and return its trial."""
        trial = len(self.trial_configs)
        self.trial_configs[trial] = config
        self.pending_trials.add(trial)
        return trial

    def _sample_next_candidate(self) -> dict[str, Any] | None:
        """Return the best new configuration, or None if the model cannot be fitted or knows none."""
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            # BoTorch warns of data far from unit variance, of retried fits and of stopped line searches.
            warnings.simplefilter("ignore")
            torch.manual_seed(self.random_seed)
            try:
                candidates = self._candidates()
            except (NotPSDError, ModelFittingError):
                return None
        known = {tuple(config.items()) for config in self.trial_configs.values()}
        for candidate in candidates:
            config = self._config_from_ndarray(candidate)
            if tuple(config.items()) not in known:
                return config
        return None

    def _candidates(self) -> Any:
        """Return `(num_restarts, d)` local optima of the acquisition function, the best first."""
        trials = list(self.trial_observations)
        xs = self._config_to_feature_matrix([self.trial_configs[trial] for trial in trials]).double()
        ys = torch.tensor([self.trial_observations[trial] for trial in trials], dtype=torch.double)
        low, high = ys.min(dim=0).values, ys.max(dim=0).values
        ys = -(ys - low) / torch.where(high > low, high - low, torch.ones_like(low))

        model = self._fitted(xs, ys)
        pending = [self.trial_configs[trial] for trial in sorted(self.pending_trials)]
        if pending:
            x_pending = self._config_to_feature_matrix(pending).double()
            with torch.no_grad():
                believed = model.posterior(x_pending).mean
            xs, ys = torch.cat([xs, x_pending]), torch.cat([ys, believed])
            model = self._fitted(xs, ys)
        acquisition = self._acquisition(model, ys)
        candidates, gains = optimize_acqf(
            acquisition,
            bounds=self._get_gp_bounds().double(),
            q=1,
            num_restarts=self.num_restarts,
            batch_initial_conditions=self._starts(acquisition, xs[is_non_dominated(ys)]).unsqueeze(1),
            return_best_only=False,
        )
        best_first = torch.as_tensor(gains).flatten().argsort(descending=True, stable=True)
        return candidates[best_first].squeeze(1).detach().numpy()

    def _fitted(self, xs: Tensor, ys: Tensor) -> ModelListGP:
        model = self._make_gp(X_tensor=xs, Y_tensor=ys)
        fit_gpytorch_mll(SumMarginalLogLikelihood(model.likelihood, model))
        return model

    def _starts(self, acquisition: AcquisitionFunction, front: Tensor) -> Tensor:
        """Return `(num_restarts, d)` starts: the best of random points and of random steps from the front `(k, d)`."""
        everywhere = torch.rand(self.num_raw_samples, front.shape[1], dtype=torch.double)
        parents = front[torch.randint(len(front), (self.num_raw_samples,))]
        moved = torch.rand_like(parents) < 2.0 / front.shape[1]  # two coordinates of each, on average
        raw = torch.cat([everywhere, torch.where(moved, torch.rand_like(parents), parents)])
        with torch.no_grad():
            gains = acquisition(raw.unsqueeze(1))
        return raw[gains.topk(self.num_restarts).indices]

    def _acquisition(self, model: ModelListGP, ys: Tensor) -> AcquisitionFunction:
        sampler = SobolQMCNormalSampler(torch.Size([self.mc_samples]))
        if ys.shape[1] == 1:
            return qLogExpectedImprovement(model, best_f=ys.max(), sampler=sampler)
        reference = torch.full((ys.shape[1],), _REFERENCE, dtype=torch.double)
        return qLogExpectedHypervolumeImprovement(
            model,
            ref_point=reference,
            partitioning=FastNondominatedPartitioning(ref_point=reference, Y=ys),  # pyright: ignore[reportArgumentType]
            sampler=sampler,
        )
