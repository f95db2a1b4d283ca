"""The rate of a training that is to end in time."""

from __future__ import annotations


class TimedRate:
    """Which share of its peak the learning rate is, in a training of so many steps or seconds, whichever end first.

    It rises over the warm-up and falls to zero, linearly in how much of the training is over, so that it has come
    down when the time has, however fast steps become on the way (Li et al., "Budgeted training", ICLR 2020). PyTorch's
    `LambdaLR` keeps the attributes in its state: the seconds before a kill count.

    Args:
        steps: most of them.
        seconds: most of them, over all attempts.
        warmup: share of the training in which the rate rises.

    Attributes:
        elapsed: seconds of all attempts; who trains sets it.
    """

    def __init__(self, steps: int, seconds: float, warmup: float) -> None:
        self._steps, self._seconds, self._warmup = steps, seconds, warmup
        self.elapsed = 0.0

    def over(self, step: int) -> float:
        """Return how much of the training is over after so many steps: from 0 to 1."""
        return min(1.0, max(step / self._steps, self.elapsed / self._seconds))

    def total(self, step: int) -> int:
        """Return how many steps it will be at this pace, so many being done, of which there is one at least."""
        return max(step, round(step / self.over(step)))

    def __call__(self, step: int) -> float:
        """Return the share of the peak for the step after so many."""
        over = self.over(step)
        if over < self._warmup:
            return over / self._warmup
        return (1 - over) / (1 - self._warmup) if over < 1 else 0.0
