"""A small space of one's own, in a cache folder of its own."""

from pathlib import Path

import pytest

from cate_hf.graphs._cache import CACHE_VARIABLE

SMALL = """\
name: small
operations: {conv: {latency: 1.5, parameters: 9}, pool: {latency: 0.25, parameters: 0}}
nodes: [2, 6]
edges: [1, 8]
pairing: {cost: latency, window: 0.75, partners: 2}
"""


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def small(tmp_path, cache) -> str:
    """The path of its description."""
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return str(path)
