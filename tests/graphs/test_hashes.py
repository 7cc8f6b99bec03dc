import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cate_hf.graphs
from cate_hf.graphs._hashes import HashIndex, check_hashes, hash_bytes, hash_text

# Few characters, so that eight of them are often the same and nine differ.
TEXTS = st.lists(st.text("ab", min_size=7, max_size=10), max_size=30)


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_rows_are_the_first_of_each_hash(known, wanted):
    known, wanted = np.array(known, dtype="U32"), np.array([*wanted, *known, "é" * 8, "a" * 40])
    expected = [known.tolist().index(text) if text in known.tolist() else -1 for text in wanted.tolist()]
    assert HashIndex(known).rows(wanted).tolist() == expected
    ascii_only = wanted[:-2]
    assert HashIndex(hash_bytes(known)).rows(hash_bytes(ascii_only)).tolist() == expected[:-2]


@given(st.lists(st.text("0123456789abcdef", min_size=1, max_size=32)))
def test_text_and_bytes(texts):
    column = np.array(texts, dtype="U32")
    assert hash_bytes(column).tolist() == [text.encode() for text in texts]
    assert hash_text(hash_bytes(column)).tolist() == texts
    assert hash_text(column) is column


def test_differences_are_told_by_row():
    computed = np.array(["a" * 32, "b" * 32])
    check_hashes(None, computed, "x")
    check_hashes(hash_bytes(computed), computed, "x")
    longer = np.array(["a" * 32, "b" * 33])
    for given_, shown in (
        (longer, "b" * 33),
        (longer.astype(object), "b" * 33),
        (np.array(["a" * 32, 3], object), "3"),
    ):
        with pytest.raises(ValueError, match=rf"^x, row 1: hash is '?{shown}'?, its architecture has 'b+'; why$"):
            check_hashes(given_, computed, "x", "; why")


def test_not_ascii():
    with pytest.raises(ValueError, match="expected ASCII"):
        hash_bytes(np.array(["é"]))


def test_every_public_name_is_there():
    for name in cate_hf.graphs.__all__:
        assert getattr(cate_hf.graphs, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'from_nothing'"):
        cate_hf.graphs.from_nothing  # noqa: B018
