"""docs/own_space.md: its commands run as they are written, from one YAML file to a search, in one folder."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from cate_hf.spaces.custom._checks import FIELD_NAMES
from cate_hf.spaces.custom.custom_space import CustomSpace
from cate_hf.statistics.structure import structure_names

DOCS = Path(__file__).parents[1] / "docs"
TEXT = (DOCS / "own_space.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"<!-- tested -->\n```(\w+)\n(.*?)```", TEXT, re.S)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """All commands, one after the other; gives the folder, and what each block printed."""
    folder = tmp_path_factory.mktemp("own-space")
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "CATE_HF_CACHE": str(folder / "cache"),
        "COLUMNS": "120",
    }
    printed = []
    for language, code in BLOCKS:
        command = [sys.executable, "-c", code] if language == "python" else ["bash", "-euo", "pipefail", "-c", code]
        ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
        assert ran.returncode == 0, f"{code}\n{ran.stdout[-1000:]}{ran.stderr[-3000:]}"
        printed.append(ran.stdout)
    return folder, printed


def test_the_file_beside_the_page_is_the_one_in_it(done):
    assert (done[0] / "enas_like.yaml").read_text() == (DOCS / "enas_like.yaml").read_text(encoding="utf-8")


def test_the_page_tells_every_field():
    assert re.findall(r"^\| `(\w+)` \|", TEXT, re.M) == [*FIELD_NAMES[:2], "nodes", *FIELD_NAMES[3:]]


def test_from_the_file_to_neighbours(done):
    folder, printed = done
    space = CustomSpace.from_file(folder / "enas_like.yaml")
    sample = pq.read_table(folder / "sample.parquet")
    assert len(sample) == len(set(sample["hash"].to_pylist())) == 300
    assert {"operations", "adjacency", "hash", "parameters"} <= set(sample.column_names)
    pairs = json.loads((folder / "pairs" / "pairs.json").read_text())
    assert (pairs["space"], pairs["architectures"], pairs["cost"]) == ("enas-like", 20_000, "parameters")
    assert pairs["pairs"] > 30_000
    described = [path for path in (folder / "encoder").iterdir() if path.suffix == ".yaml"]
    assert [CustomSpace.from_file(path).fields for path in described] == [space.fields]
    encodings = pq.read_table(folder / "encodings.parquet")
    assert encodings["hash"].to_pylist() == sample["hash"].to_pylist()
    vectors = np.array(encodings["encoding"].to_pylist())
    config = json.loads((folder / "encoder" / "config.json").read_text())
    predicted = config["statistics"]
    assert set(predicted) <= set(structure_names(space))  # those that differ among the architectures
    assert vectors.shape == (300, len(predicted) + config["wiring_dim"]) == (300, 174)
    assert len(np.unique(vectors, axis=0)) > 290
    universal = np.array(pq.read_table(folder / "universal.parquet")["encoding"].to_pylist())
    tables = [text for text in printed if "nearest to" in text]
    for table, of_table in zip(tables, (universal, vectors), strict=True):
        shown = re.findall(r"[0-9a-f]{32}", table)
        first = sample["hash"][0].as_py()
        assert shown[:2] == [first, first]
        assert len(shown) == 7
        distances = np.linalg.norm(of_table - of_table[0], axis=1)
        assert shown[2] == sample["hash"][int(np.argsort(distances)[1])].as_py()


def test_search_on_a_table_of_ones_own(done):
    folder, _ = done
    result = json.loads((folder / "search.json").read_text())
    assert (result["space"], result["candidates"], len(result["trials"])) == ("enas-like", 300, 2)
    assert result["guided_by"] == "column accuracy of results.csv"
    asked = [query["hash"] for query in result["trials"][0]["queries"]]
    assert len(set(asked)) == 40
    results = pq.read_table(folder / "results.parquet")
    assert set(asked) <= set(results["hash"].to_pylist())
    assert {"accuracy", "seconds", "parameters", "operations"} <= set(results.column_names)
    assert result["best_possible"] == max(results["accuracy"].to_pylist())
