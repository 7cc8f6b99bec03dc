"""One file in the form of NAS-Bench-101's published ones, written once."""

from pathlib import Path

import pytest

from cate_hf import get_space
from cate_hf.benchmarks.nasbench101 import _cache as nasbench101_cache
from tests import nasbench101_file as file


@pytest.fixture(scope="session")
def table():
    """50 cells, in the form of the table of published results."""
    return file.made_up_table(get_space("nasbench101").sample(50, seed=1))


@pytest.fixture(scope="session")
def runs(table):
    """Epochs -> (50, 3, 8) of their results."""
    return {epochs: file.make_runs(table, epochs) for epochs in (4, 108)}


@pytest.fixture(scope="session")
def published(table, runs, tmp_path_factory) -> Path:
    """The file of these runs."""
    path = tmp_path_factory.mktemp("published") / "results.tfrecord"
    file.write_file(path, table, runs)
    return path


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """A cache folder for results, empty; the space's enumeration stays where it is."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(nasbench101_cache, "cache_folder", lambda: folder)
    return folder
