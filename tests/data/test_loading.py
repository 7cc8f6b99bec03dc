import os
import pickle
import shutil

import numpy as np
import pytest
from datasets import ClassLabel, Features, List, Value, load_dataset
from torch.utils.data import DataLoader

from cate_hf import ArchitectureTable, get_space
from cate_hf.data import load_architectures, load_pairs, write_pairs
from cate_hf.data._builder import PairJoin
from cate_hf.data.pairs import build_pairs, default_settings, write_splits
from cate_hf.graphs import from_dataset, read_parquet, write_parquet
from cate_hf.spaces.custom.custom_space import CustomSpace

OPERATIONS = List(ClassLabel(names=["input", "conv", "pool", "output"]))
ADJACENCY = List(List(Value("uint8")))
PAIRS = {"first": Value("int32"), "second": Value("int32")}
JOINED = {"operations": OPERATIONS, "adjacency": ADJACENCY, "pair_operations": OPERATIONS, "pair_adjacency": ADJACENCY}


def same_tables(left: ArchitectureTable, right: ArchitectureTable) -> bool:
    return (
        left.vocabulary == right.vocabulary
        and np.array_equal(left.operation_codes, right.operation_codes)
        and np.array_equal(left.edge_bits, right.edge_bits)
        and left.columns.keys() == right.columns.keys()
        and all(np.array_equal(left.columns[name], right.columns[name]) for name in left.columns)
    )


class TestArchitectures:
    def test_rows_and_features(self, small):
        space = get_space(small)
        dataset = load_architectures(small)
        assert dataset.features == Features(
            operations=OPERATIONS,
            adjacency=ADJACENCY,
            hash=Value("string"),
            latency=Value("float64"),
            parameters=Value("int64"),
        )
        assert len(dataset) == len(space.pool()) == dataset.info.splits["train"].num_examples
        assert dataset.info.config_name == "small"
        assert str(dataset.info.version) == "1.0.0"
        row, architecture = dataset[7], space.pool()[7]
        assert OPERATIONS.feature.int2str(row["operations"]) == list(architecture.operations)
        assert np.array_equal(row["adjacency"], architecture.adjacency)
        assert row["hash"] == space.hash(architecture)
        assert same_tables(from_dataset(dataset), space.pool())
        chosen = from_dataset(dataset.select([9, 3, 3]))
        assert same_tables(chosen, space.pool()[[9, 3, 3]])

    def test_stream_is_the_same(self, small):
        stream = load_architectures(small, streaming=True)
        dataset = load_architectures(small)
        assert stream.features == dataset.features
        assert list(stream) == list(dataset)
        assert same_tables(from_dataset(stream), get_space(small).pool())

    def test_a_space_object_with_a_condition_in_python(self, small):
        def no_pool(architecture):
            return "pool" not in architecture.operations

        whole, some = load_architectures(small), load_architectures(CustomSpace.from_file(small, valid=no_pool))
        assert 0 < len(some) < len(whole)
        assert not any(2 in operations for operations in some["operations"])

    def test_published_files_are_the_same(self, small, tmp_path):
        write_pairs(small, tmp_path / "pairs")
        published = load_dataset("parquet", data_files=str(tmp_path / "pairs" / "architectures.parquet"), split="train")
        ours = load_architectures(small)
        assert published.features == ours.features
        assert published.data.table == ours.data.table
        for split in ("train", "validation"):
            file = str(tmp_path / "pairs" / f"{split}.parquet")
            published = load_dataset("parquet", data_files=file, split="train")
            ours = load_pairs(small)[split]
            assert published.features == ours.features == Features(PAIRS)
            assert published.data.table == ours.data.table


class TestPairs:
    def test_rows_and_features(self, small):
        _, splits, facts = build_pairs(small)
        loaded = load_pairs(small)
        assert list(loaded) == ["train", "validation"]
        for split, pairs in splits.items():
            assert loaded[split].features == Features(PAIRS)
            assert np.array_equal(np.column_stack([loaded[split]["first"], loaded[split]["second"]]), pairs)
        assert not set(loaded["train"]["first"]) & set(loaded["validation"]["first"])
        assert f'"pairs": {facts["pairs"]}' in loaded["train"].info.description

    def test_settings_make_other_data_sets(self, small):
        wide = load_pairs(small, window=3, partners=4, cost="parameters")
        assert len(wide["train"]) > 1.5 * len(load_pairs(small)["train"])
        rows = get_space(small).pool().columns["parameters"]
        gaps = rows[wide["train"]["first"][:]] - rows[wide["train"]["second"][:]]
        assert set(np.unique(gaps)) == {0}  # multiples of 9
        assert load_pairs(small, seed=1)["train"][:] != load_pairs(small)["train"][:]
        assert load_pairs(small, window=0.75)["train"]._fingerprint == load_pairs(small)["train"]._fingerprint
        with pytest.raises(ValueError, match="window must be a number, 0 or more"):
            load_pairs(small, window=-1)
        with pytest.raises(TypeError, match="windw"):
            load_pairs(small, windw=1)

    def test_nothing_to_pair(self, cache):
        one = CustomSpace(name="one", operations=["conv"], nodes=[2, 2])
        with pytest.raises(ValueError, match=r"one: no two of the 1 architectures are within 0 nodes; choose a wider"):
            load_pairs(one)

    @pytest.mark.parametrize("streaming", [False, True])
    def test_joined_with_architectures(self, small, streaming):
        joined = load_pairs(small, streaming=streaming, architectures=True)["validation"]
        pairs, dataset = load_pairs(small)["validation"], load_architectures(small)
        if streaming:
            assert joined.features == Features(PAIRS | JOINED)
        seen = 0
        for batch in joined.iter(batch_size=100):
            for prefix, side in (("", "first"), ("pair_", "second")):
                rows = dataset[batch[side]]
                assert batch[f"{prefix}operations"] == rows["operations"]
                assert batch[f"{prefix}adjacency"] == rows["adjacency"]
            assert batch["first"] == pairs["first"][seen : seen + len(batch["first"])]
            seen += len(batch["first"])
        assert seen == len(pairs)
        row = next(iter(joined))
        assert row["pair_operations"] == dataset[row["second"]]["operations"]

    def test_stream_is_the_same_row_by_row(self, small):
        for architectures in (False, True):
            stream = load_pairs(small, streaming=True, architectures=architectures)
            loaded = load_pairs(small, architectures=architectures)
            assert list(stream) == list(loaded)
            assert list(stream["validation"]) == list(loaded["validation"])

    def test_a_stream_over_worker_processes(self, small, monkeypatch):
        monkeypatch.setattr("cate_hf.data.pairs.GROUP_ROWS", 1000)
        stream = load_pairs(small, streaming=True, architectures=True)["train"]
        expected = load_pairs(small)["train"]
        assert stream.num_shards == -(-len(expected) // 1000)
        stream = pickle.loads(pickle.dumps(stream))  # as it would come to a new process
        loader = DataLoader(stream, batch_size=None, num_workers=2, multiprocessing_context="fork")
        read = sorted((row["first"], row["second"]) for row in loader)
        assert read == sorted(zip(expected["first"], expected["second"], strict=True))

    def test_a_stream_goes_on_where_it_was(self, small, monkeypatch):
        monkeypatch.setattr("cate_hf.data.pairs.GROUP_ROWS", 1000)
        stream = load_pairs(small, streaming=True)["train"]
        rows = iter(stream)
        for _ in range(1500):
            next(rows)
        state, rest = stream.state_dict(), list(rows)
        stream.load_state_dict(state)
        assert list(stream) == rest
        mixed = list(stream.shuffle(seed=0, buffer_size=50))
        assert sorted(row["first"] for row in mixed) == sorted(load_pairs(small)["train"]["first"])


class TestFolders:
    @pytest.fixture
    def folder(self, small, tmp_path):
        write_pairs(small, tmp_path / "made")
        return tmp_path / "made"

    def test_the_same_as_of_the_space(self, folder, small):
        for architectures in (False, True):
            for streaming in (False, True):
                ours = load_pairs(folder, streaming=streaming, architectures=architectures)
                other = load_pairs(small, streaming=streaming, architectures=architectures)
                assert list(ours["validation"]) == list(other["validation"])
        assert load_architectures(folder).data.table == load_architectures(small).data.table

    def test_fingerprints_are_of_what_is_in_them(self, folder, tmp_path):
        moved = shutil.copytree(folder, tmp_path / "moved")  # other paths and times
        assert load_pairs(folder)["train"]._fingerprint == load_pairs(moved)["train"]._fingerprint
        assert load_architectures(folder)._fingerprint == load_architectures(moved)._fingerprint
        write_splits({"train": np.array([[5, 4]], np.int32)}, moved)
        assert load_pairs(folder)["train"]._fingerprint != load_pairs(moved)["train"]._fingerprint
        assert len(load_pairs(moved)["train"]) == 1

    def test_changed_architectures_are_seen(self, folder):
        path = folder / "architectures.parquet"
        table = read_parquet(path)
        pairs = load_pairs(folder, architectures=True)["train"]
        before = pairs[0]
        write_parquet(table[::-1], path, overwrite=True)
        after = PairJoin(str(path))({"first": [before["first"]], "second": [before["second"]]})
        assert np.array_equal(after["adjacency"][0], table[::-1][before["first"]].adjacency)

    def test_settings_are_not_wanted(self, folder):
        with pytest.raises(ValueError, match=r"settings of its own: \['window'\] not wanted"):
            load_pairs(folder, window=1)

    @pytest.mark.parametrize("streaming", [False, True])
    def test_damage_is_named(self, folder, streaming):
        path = folder / "train.parquet"
        write_splits({"train": np.array([[5, 4], [6329, 0]], np.int32)}, folder)
        with pytest.raises(ValueError, match=r"train.parquet, row 1: first is 6329: not a row of arch"):
            load_pairs(folder, streaming=streaming)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ValueError, match=r"train.parquet: not a readable Parquet file"):
            load_pairs(folder, streaming=streaming)
        path = folder / "architectures.parquet"
        damaged = bytearray(path.read_bytes())
        damaged[2000] ^= 255
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"architectures.parquet: not a readable Parquet file"):
            list(load_architectures(folder, streaming=streaming))
        path.unlink()
        with pytest.raises(ValueError, match=r"not a folder of pairs: architectures.parquet is missing"):
            load_architectures(folder, streaming=streaming)

    def test_a_split_without_pairs_is_left_out(self, small, tmp_path):
        write_pairs(small, tmp_path / "made", default_settings(small, validation_fraction=0.0))
        for streaming in (False, True):
            assert list(load_pairs(tmp_path / "made", streaming=streaming)) == ["train"]
        assert list(load_dataset(str(tmp_path / "made"))) == ["train"]

    def test_a_folder_with_the_name_of_a_space(self, tmp_path, monkeypatch):
        from cate_hf.data._sources import is_folder

        (tmp_path / "nasbench101").mkdir()
        monkeypatch.chdir(tmp_path)
        assert not is_folder("nasbench101")
        assert is_folder("./nasbench101")
        with pytest.raises(ValueError, match="not a folder of pairs: pairs.json is missing"):
            load_pairs(os.path.join(".", "nasbench101"))
