"""The axis of vocabularies."""

import numpy as np
import pytest
from secateur.search_space import SPACES, EncoderShape, TokenSet, WithVocabularies

SHAPE = EncoderShape(3, 4, 4, 16, 24)
TOKENS = [TokenSet(8, "a1"), TokenSet(11, "b2")]


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("sample", ["sample", "sample_by_size"])
def test_points_are_those_of_the_space_with_any_vocabulary(name, sample):
    space = SPACES[name](SHAPE)
    box = WithVocabularies(space, TOKENS)
    xs = getattr(box, sample)(40, np.random.default_rng(0))
    assert xs.shape == (40, space.dimensions + 1)
    assert ((xs >= box.lower) & (xs <= box.upper)).all()
    assert {box.mask(x).tokens for x in xs} == {*TOKENS, None}
    for x in xs:
        assert box.mask(x).with_tokens(None) == space.mask(x[:-1])
        for depth in range(box.mask(x).depth):
            cut = box.truncated(x, depth)
            assert cut is None or box.mask(cut) == box.mask(x).truncated(depth)
    assert box.mask(box.upper).is_full


def test_points_in_turn_begin_with_the_whole_vocabulary():
    space = SPACES["small"](SHAPE)
    box = WithVocabularies(space, TOKENS)
    xs = box.in_turn(np.array([space.uniform_cut(share) for share in (1.0, 0.75, 0.5, 0.25)]))
    assert [box.mask(x).tokens for x in xs] == [None, TOKENS[1], TOKENS[0], None]
    assert box.mask(xs[0]).is_full


@pytest.mark.parametrize("tokens", [[], TOKENS[::-1], [TOKENS[0]] * 2])
def test_vocabularies_that_are_no_axis(tokens):
    with pytest.raises(ValueError, match="different vocabularies, the smallest first"):
        WithVocabularies(SPACES["small"](SHAPE), tokens)


def test_points_outside():
    box = WithVocabularies(SPACES["small"](SHAPE), TOKENS)
    for x in ([1, 1, 1], [1, 1, 1, 3], [1, 1, 1, -1]):
        with pytest.raises(ValueError, match="a point with a vocabulary has shape"):
            box.mask(np.array(x))
