"""The examples of README.md, AGENTS.md and docs/ run as they are written (tests/pages.py says how)."""

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from cate_hf.spaces.custom._checks import FIELD_NAMES
from cate_hf.spaces.custom.custom_space import CustomSpace
from cate_hf.statistics.structure import structure_names
from tests.hub.conftest import Client, Failed
from tests.hub_stub import HubStub
from tests.pages import ROOT, Pages, blocks, page_before

SLOW = ("docs/how_to/transformers.md",)
GUIDES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", ROOT / "AGENTS.md", *(ROOT / "docs").rglob("*.md"))
    if path.parent.name not in ("decisions", "results")
)
TESTED = [page for page in GUIDES if any(block.mark == "tested" for block in blocks(page))]


@pytest.fixture(scope="module")
def hub():
    with HubStub() as hub:
        yield hub


@pytest.fixture(scope="module")
def pages(hub, tmp_path_factory):
    root = tmp_path_factory.mktemp("pages")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = hub.environment(root / "home") | {"PATH": path, "COLUMNS": "120"}
    client = Client(hub, root / "home", PATH=path)
    yield Pages(client, environment, root)
    client.close()


def test_every_example_says_whether_it_is_tested():
    unmarked = [
        (page, block.code)
        for page in GUIDES
        for block in blocks(page)
        if block.language in ("python", "bash", "") and block.mark is None
    ]
    assert not unmarked
    assert len(TESTED) > 10
    assert all(page_before(page) in (None, *TESTED) for page in TESTED)


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[pytest.mark.slow] if page in SLOW else []) for page in TESTED]
)
def test_examples(pages, page):
    pages.ran(page)
