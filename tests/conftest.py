"""Fixtures that several rooms use."""

import os
from pathlib import Path

import pytest

# What the package keeps for the next time stays beside the tests, not in the user's cache.
os.environ.setdefault("CATE_HF_CACHE", str(Path(__file__).parents[1] / ".pytest_cache" / "cate_hf"))

TABLE_VARIABLE = "CATE_NASBENCH101_TABLE"
NASBENCH301_VARIABLE = "CATE_NASBENCH301_FOLDER"


@pytest.fixture(scope="session")
def nasbench101_table() -> Path:
    """The published results of all NAS-Bench-101 cells, which are not part of the project."""
    default = Path(__file__).parents[2] / "shared" / "data" / "nasbench101" / "cells.parquet"
    path = Path(os.environ.get(TABLE_VARIABLE, default))
    if not path.is_file():
        pytest.skip(f"no table of NAS-Bench-101 results at {path}; set {TABLE_VARIABLE}")
    return path


@pytest.fixture(scope="session")
def nasbench301_folder() -> Path:
    """Labels and the ONNX surrogate of NAS-Bench-301, which are not part of the project."""
    default = Path(__file__).parents[2] / "shared" / "data" / "nasbench301"
    folder = Path(os.environ.get(NASBENCH301_VARIABLE, default))
    for name in ("labels.parquet", "surrogate.onnx", "surrogate_encoding.json"):
        if not (folder / name).is_file():
            pytest.skip(f"no {name} of NAS-Bench-301 in {folder}; set {NASBENCH301_VARIABLE}")
    return folder
