import numpy as np
import pytest

from cate_hf import get_space
from cate_hf.graphs._cache import CACHE_VARIABLE, cache_folder, cached_table


@pytest.fixture
def small():
    return get_space("nasbench101").sample(50, seed=0)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    assert cache_folder() == tmp_path / "cache"
    return tmp_path / "cache"


def same(a, b):
    return np.array_equal(a.edge_bits, b.edge_bits) and all(
        np.array_equal(a.columns[k], b.columns[k]) for k in a.columns
    )


def test_computed_once(small, folder):
    calls = []
    tables = [cached_table("x-1", 50, lambda: calls.append(1) or small) for _ in range(3)]
    assert len(calls) == 1
    assert all(same(t, small) for t in tables)
    assert [p.name for p in folder.iterdir()] == ["x-1.parquet"]
    cached_table("x-2", 50, lambda: calls.append(1) or small)  # another version is another file
    assert len(calls) == 2


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b"nonsense"])
def test_a_damaged_cache_is_made_anew(small, folder, damage):
    cached_table("x-1", 50, lambda: small)
    file = folder / "x-1.parquet"
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert same(cached_table("x-1", 50, lambda: small), small)
    assert file.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_no_error(small, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    assert same(cached_table("x-1", 50, lambda: small), small)
