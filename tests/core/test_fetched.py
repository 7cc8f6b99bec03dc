"""Files that a clone without git-lfs has in place of the real ones."""

import pytest

from cate_hf import load_benchmark, load_encoder, load_predictor
from cate_hf.benchmarks.importing import import_results
from cate_hf.cli import main
from cate_hf.core._files import check_fetched
from cate_hf.graphs.io import read_architectures
from cate_hf.hub.convert import read_reference
from tests.tiny import save_tiny

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 1234567\n"
NAMED = "a pointer of Git LFS, not the file itself"


def test_a_pointer_is_named_as_such(tmp_path):
    path = tmp_path / "file"
    path.write_text(POINTER)
    with pytest.raises(ValueError, match=f"^{path}: {NAMED}"):
        check_fetched(path)
    path.write_text("version 2")
    check_fetched(path)
    check_fetched(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "vocab.json"])
def test_checkpoints(tmp_path, name):
    folder = save_tiny(tmp_path / "tiny")
    (folder / name).write_text(POINTER)
    with pytest.raises(ValueError, match=f"{name}: {NAMED}"):
        load_encoder(folder)


def test_predictors(tmp_path):
    folder = save_tiny(tmp_path / "tiny")
    (folder / "predictor.safetensors").write_text(POINTER)
    with pytest.raises(ValueError, match=f"predictor.safetensors: {NAMED}"):
        load_predictor(folder)


@pytest.mark.parametrize("name", ["cells.parquet", "cells.jsonl", "cells.csv", "nasbench_only108.tfrecord", "x.onnx"])
def test_tables_and_benchmarks(tmp_path, name, capsys):
    path = tmp_path / name
    path.write_text(POINTER)
    readers = [
        lambda: load_benchmark("nasbench101", path=path),
        lambda: load_benchmark("nasbench301", path=path),
        lambda: import_results(path, tmp_path / "out.parquet", "csv", "nasbench101"),
    ]
    if path.suffix in (".parquet", ".jsonl"):
        readers += [lambda: read_architectures(path), lambda: load_benchmark(path, space="nasbench101")]
    for read in readers:
        with pytest.raises(ValueError, match=f"{name}: {NAMED}"):
            read()
    if path.suffix in (".parquet", ".jsonl"):
        assert main(["encode", "--input", str(path), "--model", "nasbench101", "--output", str(tmp_path / "o.pq")]) == 2
        assert f"{name}: {NAMED}" in capsys.readouterr().err


def test_a_folder_of_results_and_reference_weights(tmp_path):
    (tmp_path / "nasbench_full.tfrecord").write_text(POINTER)
    with pytest.raises(ValueError, match=f"nasbench_full.tfrecord: {NAMED}"):
        load_benchmark("nasbench101", path=tmp_path)
    (tmp_path / "model_best.pth.tar").write_text(POINTER)
    with pytest.raises(ValueError, match=f"model_best.pth.tar: {NAMED}"):
        read_reference(tmp_path / "model_best.pth.tar")
