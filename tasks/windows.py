"""How a context that is longer than a model reads becomes several texts."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError

LENGTH = 384  # tokens of a window; Devlin et al., 2019, for SQuAD


@dataclass(frozen=True)
class Windows:
    """How a question with a long context becomes several texts: windows on the context that overlap.

    Attributes:
        length: most tokens of a text, the question's and special ones included; None takes 384, or the model's
            positions if they are fewer.
        stride: tokens of the context that a window shares with the one before; None takes a third of the length.
    """

    length: int | None = None
    stride: int | None = None

    def __post_init__(self) -> None:
        if self.length is not None and self.length < 1:
            raise InputError(f"the length of windows must be at least 1, got {self.length}")
        if self.stride is not None and self.stride < 0:
            raise InputError(f"the stride of windows must be at least 0, got {self.stride}")

    def within(self, positions: int, special: int) -> tuple[int, int]:
        """Return length and stride for a model.

        Args:
            positions: most tokens it reads.
            special: how many of them are special ones.

        Raises:
            InputError: a length that is too long for the model or too short for a text, or a stride beyond its half.
        """
        length = min(LENGTH, positions) if self.length is None else self.length
        if length > positions:
            raise InputError(
                f"windows of {length} tokens are longer than the model's {positions} positions; shorten them"
            )
        if length < special + 2:
            raise InputError(
                f"windows of {length} tokens have no room for a question and a context beside {special} special "
                "tokens; lengthen them"
            )
        stride = length // 3 if self.stride is None else self.stride
        if 2 * stride > length:
            raise InputError(
                f"a stride of {stride} tokens is more than half of the windows of {length}, which would hardly move "
                f"on; take at most {length // 2}"
            )
        return length, stride
