"""What a call says that must refuse its input."""

from __future__ import annotations

import pytest
from secateur.errors import InputError


def message_of(call, *arguments, **options) -> str:
    """Return its message, which is one line."""
    with pytest.raises(InputError) as caught:
        call(*arguments, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text
