"""The examples of README.md, AGENTS.md, docs/ and the notebooks run as they are written (tests/pages.py says how)."""

import importlib
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import cate_hf
from cate_hf.spaces.custom._checks import FIELD_NAMES
from cate_hf.spaces.custom.custom_space import CustomSpace
from cate_hf.statistics.structure import structure_names
from tests.hub.conftest import Client, Failed
from tests.hub_stub import HubStub
from tests.pages import ROOT, Pages, blocks, page_before

GUIDES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", ROOT / "AGENTS.md", *(ROOT / "docs").rglob("*.md"), *ROOT.glob("examples/*.ipynb"))
    if path.parent.name not in ("decisions", "results")
)
TESTED = [page for page in GUIDES if any(block.mark == "tested" for block in blocks(page))]
QUICK = ("README.md", "docs/quickstart.md")
OWN_SPACE, PUBLISH = "docs/tutorials/own_space.md", "docs/how_to/publish.md"


@pytest.fixture(scope="module")
def hub():
    with HubStub() as hub:
        yield hub


@pytest.fixture(scope="module")
def pages(hub, tmp_path_factory):
    root = tmp_path_factory.mktemp("pages")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = hub.environment(root / "home") | {"PATH": path, "COLUMNS": "120"}
    client = Client(hub, root / "home", PATH=path, MPLBACKEND="agg")
    yield Pages(client, environment, root)
    client.close()


def test_pages_write_different_files():
    """Who follows several of them in one folder is not told that an output exists."""
    written = {}
    for page in ("README.md", "docs/index.md", "docs/quickstart.md", *(p for p in TESTED if "/tutorials/" in p)):
        for block in blocks(page):
            for name in re.findall(r"--output (\S+\.json)\b", block.code) if block.mark == "tested" else ():
                assert written.setdefault(name, page) == page, name


def test_every_example_says_whether_it_is_tested():
    unmarked = [
        (page, block.code)
        for page in GUIDES
        for block in blocks(page)
        if block.language in ("python", "bash") and block.mark is None
    ]
    assert not unmarked
    assert len(TESTED) >= 21
    assert all(page_before(page) in (None, *TESTED) for page in TESTED)


@pytest.mark.parametrize(
    "page", [page if page in QUICK else pytest.param(page, marks=pytest.mark.long) for page in TESTED]
)
def test_examples(pages, page):
    if page == "docs/how_to/transformers.md":
        pytest.importorskip("onnxscript")
    pages.ran(page)


# A space of one's own: docs/tutorials/own_space.md, docs/reference/space_file.md


@pytest.mark.long
def test_the_file_beside_the_page_is_the_one_in_it(pages):
    written = (pages.ran(OWN_SPACE).folder / "enas_like.yaml").read_text()
    assert written == (ROOT / "docs" / "enas_like.yaml").read_text(encoding="utf-8")


def test_the_reference_has_every_public_name():
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs/reference").glob("*.md"))
    named = re.findall(r"^::: (cate_hf[\w.]*)\.(\w+)$", text, re.M)
    assert {*cate_hf.__all__} - {name for _, name in named} == {"__version__"}
    assert all(hasattr(importlib.import_module(module), name) for module, name in named if "optuna" not in module)


def test_the_page_tells_every_field():
    text = (ROOT / "docs/reference/space_file.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", text, re.M) == [*FIELD_NAMES[:2], "nodes", *FIELD_NAMES[3:]]


@pytest.mark.long
def test_from_the_file_to_neighbours(pages):
    ran = pages.ran(OWN_SPACE)
    folder = ran.folder
    space = CustomSpace.from_file(folder / "enas_like.yaml")
    sample = pq.read_table(folder / "sample.parquet")
    assert len(sample) == len(set(sample["hash"].to_pylist())) == 300
    assert {"operations", "adjacency", "hash", "parameters"} <= set(sample.column_names)
    pairs = json.loads((folder / "enas_pairs" / "pairs.json").read_text())
    assert (pairs["space"], pairs["architectures"], pairs["cost"]) == ("enas-like", 20_000, "parameters")
    assert pairs["pairs"] > 30_000
    described = [path for path in (folder / "enas_encoder").iterdir() if path.suffix == ".yaml"]
    assert [CustomSpace.from_file(path).fields for path in described] == [space.fields]
    encodings = pq.read_table(folder / "encodings.parquet")
    assert encodings["hash"].to_pylist() == sample["hash"].to_pylist()
    vectors = np.array(encodings["encoding"].to_pylist())
    config = json.loads((folder / "enas_encoder" / "config.json").read_text())
    predicted = config["statistics"]
    assert set(predicted) <= set(structure_names(space))  # those that differ among the architectures
    assert vectors.shape == (300, len(predicted) + config["wiring_dim"]) == (300, 174)
    assert len(np.unique(vectors, axis=0)) > 290
    assert np.array(pq.read_table(folder / "universal.parquet")["encoding"].to_pylist()).shape == (300, 248)
    table = ran.of("cate neighbours")
    assert "nearest to" in table
    shown = re.findall(r"[0-9a-f]{32}", table)
    first = sample["hash"][0].as_py()
    assert shown[:2] == [first, first]
    assert len(shown) == 7
    distances = np.linalg.norm(vectors - vectors[0], axis=1)
    assert shown[2] == sample["hash"][int(np.argsort(distances)[1])].as_py()


@pytest.mark.long
def test_search_on_a_table_of_ones_own(pages):
    folder = pages.ran(OWN_SPACE).folder
    result = json.loads((folder / "own.json").read_text())
    assert (result["space"], result["candidates"], len(result["trials"])) == ("enas-like", 300, 2)
    assert result["guided_by"] == "column accuracy of results.csv"
    asked = [query["hash"] for query in result["trials"][0]["queries"]]
    assert len(set(asked)) == 40
    code, _, told = pages.cate(folder, "cate import results.csv --space enas_like.yaml --output results.parquet")
    assert code == 0, told
    results = pq.read_table(folder / "results.parquet")
    assert set(asked) <= set(results["hash"].to_pylist())
    assert {"accuracy", "seconds", "parameters", "operations"} <= set(results.column_names)
    assert result["best_possible"] == max(results["accuracy"].to_pylist())


# Publishing: docs/how_to/publish.md, which goes on from the tutorial


@pytest.mark.long
def test_what_is_published(pages, hub):
    own, ran = pages.ran(OWN_SPACE), pages.ran(PUBLISH)
    folder = ran.folder
    assert "cate_hf.training.pretrain" in ran.of("cate card")
    assert not any("enas-encoder" in line for line in ran.of("cate card").splitlines())
    dry = own.of("cate publish enas_encoder someone/enas-encoder --dry-run")
    assert "model.safetensors" in dry
    assert "nothing was sent" in dry
    assert "not published of enas_encoder: training" in dry
    assert f"{hub.url}/someone/enas-encoder" in own.printed["cate publish enas_encoder someone/enas-encoder"]
    assert "nothing new" in ran.of("cate publish enas_encoder")
    model, data = hub.repository("someone/enas-encoder"), hub.repository("someone/enas-pairs", "datasets")
    assert [len(repository.commits) for repository in (model, data)] == [2, 2]
    assert 'path = "someone/enas-encoder"' in model.files()["README.md"].content.decode()
    listed = ran.of("cate models")
    assert "nasbench101" in listed
    assert "someone/enas-encoder" in listed
    again, first = (pq.read_table(folder / name) for name in ("encodings_again.parquet", "encodings.parquet"))
    assert again["encoding"].to_pylist() == first["encoding"].to_pylist()
    texts = [*own.printed.values(), *ran.printed.values()]
    shapes = [re.search(r"\(?\[?1, (\d+)", text)[1] for text in texts if "1, " in text and len(text) < 60]
    assert shapes == ["174", "174"]

    code = """
from cate_hf.encodings import get_encoding
from cate_hf.spaces import get_space
space = get_space(file)
result = list(get_encoding("someone/enas-encoder", space).transform(space.sample(3, 0)).shape)
"""
    assert pages.client.run(code, file=str(folder / "enas_like.yaml")) == [3, 174]

    # And what the text says beside the commands.
    assert "nothing new" in pages.cate(folder, "cate publish-dataset enas_pairs someone/enas-pairs")[1]
    pages.cate(folder, "cate download someone/enas-encoder --output copy")
    assert sorted(path.name for path in (folder / "copy").iterdir()) == sorted(model.files())
    code, _, told = pages.cate(folder, "cate download someone/enas-encoder --output copy")
    assert code == 2
    assert "exists already" in told
    for line, message in {
        "cate download someone/absent": "model someone/absent on the Hub: not found",
        "cate download nasbench10l": "unknown encoder 'nasbench10l'; did you mean 'nasbench101'?",
        "cate encode --input sample.parquet --model no/such --output o.parquet": "nor is there a folder no/such",
        "cate publish-dataset enas_pairs other/enas-pairs": "dataset other/enas-pairs on the Hub: forbidden (403)",
        "cate publish enas_pairs someone/x": "enas_pairs: no config.json, so this is not a checkpoint folder",
        "cate card enas_like.yaml": "expected a checkpoint folder, found a file",
    }.items():
        code, _, told = pages.cate(folder, line)
        assert code == 2, line
        assert message in told, line
        assert len(told.strip().splitlines()) == 1, told
    assert not (folder / "o.parquet").exists()


@pytest.mark.long
def test_a_model_that_is_pushed_by_transformers(pages, hub):
    code = """
from transformers import AutoModelForPreTraining, AutoTokenizer
from cate_hf import load_encoder
AutoModelForPreTraining.from_pretrained(path).push_to_hub(repo)
AutoTokenizer.from_pretrained(path).push_to_hub(repo)
result = [load_encoder(name).encode(cells).tolist() for name in (path, repo)]
"""
    cells = [{"operations": ["input", "output"], "adjacency": [[0, 1], [0, 0]]}]
    path = pages.ran(OWN_SPACE).folder / "enas_encoder"
    local, pushed = pages.client.run(code, path=str(path), repo="someone/pushed", cells=cells)
    assert local == pushed
    served = hub.repository("someone/pushed").files()
    for name in ("modeling_cate.py", "configuration_cate.py", "tokenization_cate.py", "vocab.json"):
        assert served[name].content == (path / name).read_bytes(), name
    assert "AutoModel" in served["config.json"].content.decode()
    with pytest.raises(Failed, match="forbidden|Forbidden|403"):
        pages.client.run(code, path=str(path), repo="other/pushed", cells=cells)
