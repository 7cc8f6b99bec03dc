import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import DatasetCard

from cate_hf import get_space
from cate_hf.data import write_pairs
from cate_hf.data._sources import pairs_of_space
from cate_hf.data.pairs import build_pairs, check_pairs, default_settings, read_pairs, space_of
from cate_hf.graphs import read_parquet, write_parquet
from cate_hf.spaces.custom.custom_space import CustomSpace

# What a user does who has the library datasets alone.
PLAIN = """
import json, sys
from datasets import load_dataset, load_dataset_builder, get_dataset_config_names

folder = sys.argv[1]
pairs, architectures = load_dataset(folder), load_dataset(folder, "architectures", split="train")
streamed = load_dataset(folder, "architectures", split="train", streaming=True)
assert not any(name.split(".")[0] == "cate_hf" for name in sys.modules)
print(json.dumps({
    "configs": get_dataset_config_names(folder),
    "splits": {name: len(split) for name, split in pairs.items()},
    "features": [repr(found.features) for found in (pairs["train"], architectures, streamed)],
    "row": [architectures[n] for n in pairs["train"][5].values()],
    "streamed": list(streamed) == list(architectures),
}))
"""


@pytest.fixture
def folder(small, tmp_path):
    write_pairs(small, tmp_path / "made")
    return tmp_path / "made"


def test_nasbench101_pairs_are_the_papers():
    table, splits, facts = build_pairs("nasbench101")
    assert facts["pairs"] == 847_233  # two for each of 423,624 cells but those at the start of a gap
    assert facts["train_pairs"] == len(splits["train"])
    pairs = np.concatenate([*splits.values()])
    gaps = table.columns["parameters"][pairs[:, 0]] - table.columns["parameters"][pairs[:, 1]]
    assert 0 <= gaps.min() <= gaps.max() <= 2_000_000


def test_of_a_name_a_path_and_an_object(small):
    space = CustomSpace.from_file(small)
    for given in (small, space, "small"):  # a space from a file is known by its name afterwards
        table, splits, facts = build_pairs(given)
        assert facts["space"] == "small"
        assert facts["window"] == 0.75
        assert set(table.columns) == {"hash", "latency", "parameters"}
        pairs = np.concatenate([*splits.values()])
        gaps = table.columns["latency"][pairs[:, 0]] - table.columns["latency"][pairs[:, 1]]
        assert 0 <= gaps.min() < gaps.max() == 0.75
    with pytest.raises(ValueError, match="unknown cost 'beauty'"):
        build_pairs(small, default_settings(small, cost="beauty"))


def test_of_a_sample_where_a_space_cannot_be_listed(cache):
    space = CustomSpace(name="wide", operations=["a", "b", "c"], nodes=[2, 20], pool=500)
    table, splits, facts = build_pairs(space)
    assert facts["architectures"] == len(table) == 500
    assert facts["sampled"]
    again, others, _ = build_pairs(space)
    assert np.array_equal(table.columns["hash"], again.columns["hash"])
    assert all(np.array_equal(splits[split], others[split]) for split in splits)


def test_written_pairs_come_back(tmp_path):
    facts = write_pairs("nasbench101", tmp_path / "pairs", default_settings("nasbench101", cost="flops", window=10**7))
    table, splits, read_facts = read_pairs(tmp_path / "pairs")
    assert read_facts == facts
    assert facts["cost"] == "flops"
    pool = get_space("nasbench101").pool()
    assert np.array_equal(table.edge_bits, pool.edge_bits)
    assert np.array_equal(table.operation_codes, pool.operation_codes)
    assert len(splits["train"]) == facts["train_pairs"]
    assert f"{facts['pairs']:,}" in (tmp_path / "pairs" / "README.md").read_text()
    assert not (tmp_path / "pairs" / "space.yaml").exists()
    assert space_of(tmp_path / "pairs").name == "nasbench101"
    with pytest.raises(FileExistsError):
        write_pairs("nasbench101", tmp_path / "pairs")


def test_a_described_space_goes_with_its_pairs(folder, small):
    described = space_of(folder)
    assert described.definition() == get_space(small).definition()
    assert yaml.safe_load((folder / "space.yaml").read_text())["name"] == "small"
    assert np.array_equal(described.pool().columns["hash"], read_pairs(folder)[0].columns["hash"])


def test_the_library_datasets_alone_reads_the_folder(folder, small, tmp_path):
    process = subprocess.run(
        [sys.executable, "-I", "-c", PLAIN, str(folder)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)},
    )
    assert process.returncode == 0, process.stderr
    found = json.loads(process.stdout.splitlines()[-1])
    _, splits, facts = build_pairs(small)
    assert found["configs"] == ["pairs", "architectures"]
    assert found["splits"] == {"train": facts["train_pairs"], "validation": facts["validation_pairs"]}
    architectures = (
        "{'operations': List(ClassLabel(names=['input', 'conv', 'pool', 'output'])), "
        "'adjacency': List(List(Value('uint8'))), 'hash': Value('string'), 'latency': Value('float64'), "
        "'parameters': Value('int64')}"
    )
    assert found["features"] == ["{'first': Value('int32'), 'second': Value('int32')}", architectures, architectures]
    assert found["streamed"]
    pool = get_space(small).pool()
    for row, number in zip(found["row"], splits["train"][5], strict=True):
        assert row["hash"] == pool.columns["hash"][number]
        assert [pool.vocabulary[label] for label in row["operations"]] == list(pool[int(number)].operations)


def test_the_card_says_what_is_in_the_folder(folder):
    card = DatasetCard.load(folder / "README.md")
    table, splits, facts = read_pairs(folder)
    assert [config["config_name"] for config in card.data.configs] == ["pairs", "architectures"]
    for config in card.data.configs:
        assert all((folder / file["path"]).is_file() for file in config["data_files"])
    assert card.data.license is None  # of a user's space nobody but the user knows it
    assert card.data.size_categories == ["10K<n<100K"]
    for fact in (
        f"| architectures | {len(table):,} |",
        f"| for training | {len(splits['train']):,} |",
        "| 2 | `pool` |",
        f"| 6 | {int((table.num_nodes == 6).sum()):,} |",
        f"| 0.5 | {np.median(table.columns['latency']):,.4g} | {int(np.median(table.columns['parameters'])):,} |",
    ):
        assert fact in card.text
    assert facts["command"] in card.text


class TestDamagedFolders:
    def test_facts(self, folder):
        path = folder / "pairs.json"
        facts = json.loads(path.read_text())
        for text, message in (
            ("{", "cannot be read as JSON"),
            ("\xff\xfe", "cannot be read as JSON"),
            ("[" * 100_000, "cannot be read as JSON"),
            ("[]", "expected an object of facts"),
            (json.dumps(facts | {"space": 3}), "'space' is 3, expected a value of type str"),
            (json.dumps({"space": "small"}), "'architectures' is None, expected a value of type int"),
        ):
            path.write_bytes(text.encode("latin-1"))
            with pytest.raises(ValueError, match=f"pairs.json: {message}") as raised:
                read_pairs(folder)
            assert "\n" not in str(raised.value)
        path.unlink()
        with pytest.raises(ValueError, match="pairs.json is missing"):
            read_pairs(folder)

    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            ({"first": [1]}, "no column 'second'; it has first"),
            ({"first": [1], "second": ["x"]}, "column 'second' holds string, expected row numbers"),
            ({"first": [1.5], "second": [1]}, "column 'first' holds double, expected row numbers"),
            ({"first": [1, 2], "second": [0, None]}, "row 1: second is missing, expected a row number"),
            ({"first": [1, 2], "second": [0, -1]}, "row 1: second is -1: not a row of architectures.parquet"),
            ({"first": [1, 2, 2**40], "second": [0, 0, 0]}, f"row 2: first is {2**40}: not a row of"),
        ],
    )
    def test_pairs(self, folder, columns, message):
        pq.write_table(pa.table(columns), folder / "validation.parquet")
        for check in (read_pairs, check_pairs):
            with pytest.raises(ValueError, match=rf"validation.parquet[:,] {message}"):
                check(folder)

    def test_rows_are_counted_through_the_parts(self, folder, monkeypatch):
        monkeypatch.setattr("cate_hf.data.pairs.GROUP_ROWS", 10)
        rows = np.zeros(95, int)
        rows[77] = 10**6
        pq.write_table(pa.table({"first": np.ones(95, int), "second": rows}), folder / "train.parquet")
        with pytest.raises(ValueError, match=r"train.parquet, row 77: second is 1000000"):
            read_pairs(folder)

    @pytest.mark.parametrize("name", ["train.parquet", "architectures.parquet"])
    def test_files(self, folder, name):
        path = folder / name
        whole = path.read_bytes()
        for damaged in (b"", b"PAR1", whole[: len(whole) // 2], whole[:500] + b"\x00" * 50 + whole[550:]):
            path.write_bytes(damaged)
            with pytest.raises(ValueError, match=f"{name}: ") as raised:
                read_pairs(folder)
            assert "\n" not in str(raised.value)

    def test_other_architectures(self, folder):
        table = read_parquet(folder / "architectures.parquet")
        write_parquet(table[:100], folder / "architectures.parquet", overwrite=True)
        with pytest.raises(ValueError, match=r"not a row of architectures.parquet \(100 rows\)"):
            read_pairs(folder)


def test_pairs_of_some_architectures_only(tmp_path):
    settings = default_settings("nasbench101", where="nodes<=5,edges<=6")
    facts = write_pairs("nasbench101", tmp_path / "some", settings)
    table, splits, _ = read_pairs(tmp_path / "some")
    assert 0 < len(table) == facts["architectures"] < 2532
    assert table.num_nodes.max() == 5
    assert table.adjacency().sum((1, 2)).max() == 6
    assert max(pairs.max() for pairs in splits.values()) < len(table)
    assert facts["command"].startswith("cate pairs nasbench101 --cost parameters --window 2000000")
    assert '--where "nodes<=5,edges<=6"' in facts["command"]
    assert '--where "nodes<=5,edges<=6"' in (tmp_path / "some" / "README.md").read_text()
    with pytest.raises(ValueError, match="where: none of the 423,624 architectures has nodes>7"):
        build_pairs("nasbench101", default_settings("nasbench101", where="nodes>7"))
    with pytest.raises(ValueError, match="are read from a folder: make one with cate pairs --where"):
        pairs_of_space(get_space("nasbench101"), {"where": "nodes<=5"})
