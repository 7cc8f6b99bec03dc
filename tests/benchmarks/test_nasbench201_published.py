import bz2
import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cate_hf import get_space, load_benchmark
from cate_hf.benchmarks.nasbench201 import _published as nasbench201_published
from cate_hf.benchmarks.nasbench201._published import _find, _read
from cate_hf.spaces.nasbench201.cells import indices, keys, texts

SPACE = get_space("nasbench201")
CODES = np.array([[3, 3, 3, 1, 3, 2], [0, 0, 0, 0, 0, 0], [0, 0, 0, 3, 0, 0], [2, 0, 0, 3, 0, 0], [4, 2, 1, 2, 1, 1]])
SETS = {
    "cifar10-valid": ("x-valid", "ori-test"),
    "cifar10": ("ori-test",),
    "cifar100": ("x-valid", "x-test", "ori-test"),
    "ImageNet16-120": ("x-valid", "x-test", "ori-test"),
}


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    """A cache of its own, so that nothing is read that another test left."""
    SPACE.pool()
    monkeypatch.setenv("CATE_HF_CACHE", str(tmp_path / "cache"))


def accuracy(row, training, images, seed, epochs):
    return 10 + 13 * row + len(training) + len(images) / 10 + seed / 1000 + epochs / 1000


def run(row, training, seed, epochs, weights, numpy_numbers):
    number = np.float64 if numpy_numbers else float
    evaluated = {
        f"{images}@{epoch}": number(accuracy(row, training, images, seed, epoch + 1))
        for images in SETS[training]
        for epoch in range(epochs)
    }
    return {
        "name": training,
        "net_state_dict": OrderedDict(weight=torch.ones(2, 3), bias=torch.nn.Parameter(torch.ones(2)))
        if weights
        else None,
        "train_acc1es": {},
        "train_times": OrderedDict((epoch, number(row + len(training) / 10)) for epoch in range(epochs)),
        "eval_acc1es": evaluated,
        "eval_times": {},
        "params": 0.5,
        "flop": number(1.5),
        "arch_config": {"channel": 16, "num_cells": 5, "arch_str": "", "class_num": 10},
        "seed": seed,
        "epochs": epochs,
        "latency": [0.01 * (row + 1)],
    }


def cell(row, names=("12", "200"), weights=False, numpy_numbers=False, seeds=None):
    """What a published file says of one cell; the second and later cells have two runs of 200 epochs only."""
    entry = OrderedDict()
    for name, epochs in zip(names, (12, 200), strict=True):
        used = seeds or ((111, 777) if epochs == 12 else (999, 777, 888) if row == 0 else (777, 888))
        entry[name] = {
            "arch_index": int(indices(CODES[[row]])[0]),
            "arch_str": texts(CODES[[row]])[0],
            "all_results": {
                (t, seed): run(row, t, seed, epochs, weights, numpy_numbers) for t in SETS for seed in used
            },
            "dataset_seed": {training: sorted(used) for training in SETS},
            "clear_net_done": not weights,
        }
    return entry


def whole(**options):
    entries = {int(index): cell(row, **options) for row, index in enumerate(indices(CODES))}
    return {"meta_archs": [], "total_archs": 15_625, "arch2infos": entries, "evaluated_indexes": set(entries)}


def write_nats_folder(folder, **options):
    folder.mkdir()
    for row, index in enumerate(indices(CODES).tolist()):
        data = pickle.dumps(cell(row, **options), protocol=4)
        (folder / f"{index:06}.pickle.pbz2").write_bytes(bz2.compress(data))
    (folder / "meta.pickle.pbz2").write_bytes(bz2.compress(pickle.dumps({"meta_archs": [], "arch2infos": None})))
    return folder


def write_nats_file(path, **options):
    path.write_bytes(bz2.compress(pickle.dumps(whole(**options), protocol=4)))
    return path


def write_torch(path, content, zipped):
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def write(kind, tmp_path):
    old = {"names": ("less", "full")}
    if kind == "nats folder":
        return write_nats_folder(tmp_path / "NATS-tss-v1_0-3ffb9-simple", numpy_numbers=True)
    if kind == "nats full folder":
        return write_nats_folder(tmp_path / "NATS-tss-v1_0-3ffb9-full", weights=True)
    if kind == "nats file":
        return write_nats_file(tmp_path / "NATS-tss-v1_0-3ffb9.pickle.pbz2")
    if kind == "torch archive":
        for row, index in enumerate(indices(CODES).tolist()):
            write_torch(tmp_path / f"{index:06}-FULL.pth", cell(row, weights=True, **old), zipped=row % 2 == 0)
        return tmp_path
    path = tmp_path / "NAS-Bench-201-v1_1-096897.pth"
    write_torch(path, whole(**old, numpy_numbers=True), zipped=kind == "torch zip")
    return path if kind == "torch zip" else tmp_path  # a folder with one such file will do


KINDS = ["nats folder", "nats full folder", "nats file", "torch", "torch zip", "torch archive"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_form_gives_the_same_numbers(tmp_path, kind):
    path = write(kind, tmp_path)
    bench = load_benchmark("nasbench201", path=path, dataset="cifar100")
    assert len(bench) == 4  # two of the five cells have one graph
    assert bench.default_field == "test_accuracy"
    for row, key in enumerate(keys(CODES).tolist()):
        found = bench.query(f"{key:06}")
        seeds = (777, 888, 999) if row == 0 else (777, 888)
        for field, training, images in [
            ("validation_accuracy", "cifar100", "x-valid"),
            ("test_accuracy", "cifar100", "x-test"),
            ("cifar10_validation_accuracy", "cifar10-valid", "x-valid"),
            ("cifar10_test_accuracy", "cifar10", "ori-test"),
            ("imagenet16_120_validation_accuracy", "ImageNet16-120", "x-valid"),
        ]:
            expected = [accuracy(row, training, images, seed, 200) / 100 for seed in seeds]
            assert found[field] == pytest.approx(np.mean(expected))
            assert [bench.query(f"{key:06}", field, run=r) for r in range(len(seeds))] == pytest.approx(expected)
        assert found["training_seconds"] == pytest.approx(200 * (row + 0.8))
        assert found["cifar10_training_seconds"] == pytest.approx(200 * (row + 1.3))
        assert found["latency_seconds"] == pytest.approx(0.01 * (row + 1))
    assert bench.query("333132")["parameters"] == 1_079_316
    assert bench.num_cells([SPACE.cell("000300")])[0] == 2
    assert bench.query(SPACE.cell("000300"), "test_accuracy") == pytest.approx(
        (bench.query("000300", "test_accuracy") + bench.query("200300", "test_accuracy")) / 2
    )
    assert "5 cells, 200 epochs" in repr(bench)
    assert "tested on the other 5,000" in bench.oracle("test_accuracy")
    assert len(bench.candidates()) == 4
    with pytest.raises(ValueError, match="is not in"):
        bench.query(SPACE.cell("333333"))
    with pytest.raises(ValueError, match="no 'validation_accuracy' for '333333' in"):
        bench.query("333333", "validation_accuracy")


def test_twelve_epochs(tmp_path):
    bench = load_benchmark("nasbench201", path=write("nats file", tmp_path), epochs=12)
    seeds = (111, 777)
    expected = np.mean([accuracy(0, "cifar10-valid", "x-valid", seed, 12) for seed in seeds]) / 100
    assert bench.query("333132", "validation_accuracy") == pytest.approx(expected)
    assert bench.query("333132", "training_seconds") == pytest.approx(12 * 1.3)
    assert "after 12 epochs" in bench.oracle("validation_accuracy")
    with pytest.raises(ValueError, match="epochs must be 200 or 12, not 90"):
        load_benchmark("nasbench201", path=write("nats file", tmp_path), epochs=90)


def test_what_was_read_is_kept_until_the_file_changes(tmp_path, monkeypatch):
    path = write("nats file", tmp_path)
    first = load_benchmark("nasbench201", path=path).query("421211")
    with monkeypatch.context() as patch:
        patch.setattr(nasbench201_published, "_read", None)
        assert load_benchmark("nasbench201", path=path).query("421211") == first
    (kept,) = (tmp_path / "cache").glob("nasbench201-runs-*.npz")
    kept.write_bytes(kept.read_bytes()[:1000])
    assert load_benchmark("nasbench201", path=path).query("421211") == first
    write_nats_file(path, seeds=(777,))
    os.utime(path, ns=(0, 0))
    assert load_benchmark("nasbench201", path=path).query("421211") != first


class Poison:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("kind", ["nats folder", "nats file", "torch", "torch zip"])
def test_poisoned_files_run_nothing(tmp_path, kind):
    marker = tmp_path / "ran"
    content = whole()
    content["arch2infos"][0] = Poison(marker)
    if kind == "nats folder":
        path = write_nats_folder(tmp_path / "folder")
        (path / "000000.pickle.pbz2").write_bytes(bz2.compress(pickle.dumps({"200": Poison(marker)})))
    elif kind == "nats file":
        path = tmp_path / "NATS-tss.pickle.pbz2"
        path.write_bytes(bz2.compress(pickle.dumps(content)))
    else:
        path = write_torch(tmp_path / "NAS-Bench-201.pth", content, zipped=kind == "torch zip")
    with pytest.raises(ValueError, match=r"it wants to load (posix|nt)\.mkdir, which no results need") as error:
        load_benchmark("nasbench201", path=path)
    assert "\n" not in str(error.value)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["numpy.f2py.crackfortran.myeval", "collections.OrderedDict.__reduce__", "torch.load"])
def test_names_beside_the_known_ones_are_refused(tmp_path, name):
    module, _, attribute = name.rpartition(".") if "Dict" not in name else ("collections", "", "OrderedDict.__reduce__")
    data = (
        pickle.PROTO
        + b"\x04"
        + b"\x8c%c%s\x8c%c%s\x93."
        % (
            len(module),
            module.encode(),
            len(attribute),
            attribute.encode(),
        )
    )
    path = tmp_path / "NATS-tss.pickle.pbz2"
    path.write_bytes(bz2.compress(data))
    with pytest.raises(ValueError, match=f"it wants to load {name}"):
        load_benchmark("nasbench201", path=path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda entry: entry.pop("200"), "no results of 200 epochs"),
        (lambda entry: entry["200"].pop("arch_str"), "no 'arch_str'"),
        (lambda entry: entry["200"].update(arch_str="resnet"), "arch_str is 'resnet'"),
        (lambda entry: entry["200"].update(arch_str="|none~1|"), "expected"),
        (lambda entry: entry["200"].update(arch_str=[]), "cell \\[\\]: names alone do not say on which edges they are"),
        (lambda entry: entry["200"].update(all_results={"cifar100": 1}), "not a cell of NAS-Bench-201"),
        (
            lambda entry: entry["200"]["all_results"]["cifar100", 777]["eval_acc1es"].update({"x-valid@199": 120.0}),
            "is 1.2",
        ),
        (lambda entry: entry["200"]["all_results"]["cifar100", 777].update(latency=["slow"]), "unsupported operand"),
        (
            lambda entry: entry["200"]["all_results"]["cifar100", 777].update(train_times={0: -5.0}),
            "training_seconds is -5",
        ),
        (
            lambda entry: entry["200"]["all_results"].update({("cifar100", seed): {} for seed in (1, 2, 3, 4)}),
            "6 runs on cifar100, at most 3",
        ),
    ],
)
def test_another_content_is_refused_by_its_cell(tmp_path, change, message):
    content = whole()
    change(content["arch2infos"][0])
    path = tmp_path / "NATS-tss.pickle.pbz2"
    path.write_bytes(bz2.compress(pickle.dumps(content)))
    with pytest.raises(ValueError, match=message) as error:
        load_benchmark("nasbench201", path=path)
    assert "NATS-tss.pickle.pbz2, architecture 0: " in str(error.value)
    assert "\n" not in str(error.value)


def test_runs_without_times_or_validation_are_left_open(tmp_path):
    content = whole()
    for entry in content["arch2infos"].values():
        for result in entry["200"]["all_results"].values():
            result["train_times"] = result["latency"] = None
        entry["200"]["all_results"] = {k: v for k, v in entry["200"]["all_results"].items() if k[0] == "cifar10-valid"}
    path = tmp_path / "NATS-tss.pickle.pbz2"
    path.write_bytes(bz2.compress(pickle.dumps(content)))
    bench = load_benchmark("nasbench201", path=path)
    assert {*bench.query("333132")} >= {"validation_accuracy", "parameters"}
    assert "training_seconds" not in bench.query("333132")
    assert np.isnan(bench.simulated_seconds)
    with pytest.raises(ValueError, match="has no 'cifar100_validation_accuracy'"):
        bench.query("333132")["cifar100_validation_accuracy"]


def test_files_of_one_cell_twice_and_other_files_are_refused(tmp_path):
    folder = write_nats_folder(tmp_path / "folder")
    (folder / "000001.pickle.pbz2").write_bytes((folder / "000000.pickle.pbz2").read_bytes())
    with pytest.raises(ValueError, match=r"000001.pickle.pbz2: the cell of .*000000.pickle.pbz2 again"):
        load_benchmark("nasbench201", path=folder)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.pth").write_text("hello")
    (tmp_path / "NATS.pickle.pbz2").write_text("hello")
    (tmp_path / "results.bin").write_text("hello")
    for name, message in [
        ("empty", "empty: expected a file or folder of NATS-Bench"),
        ("text.pth", "not results of NAS-Bench-201"),
        ("NATS.pickle.pbz2", "NATS.pickle.pbz2: cannot be read"),
        ("results.bin", r"expected .*: \*.pickle.pbz2 or \*.pth"),
    ]:
        with pytest.raises(ValueError, match=message):
            load_benchmark("nasbench201", path=tmp_path / name)
    (tmp_path / "NATS-2.pickle.pbz2").write_text("hello")
    with pytest.raises(ValueError, match=r"holds NATS-2.pickle.pbz2 and NATS.pickle.pbz2; name one"):
        load_benchmark("nasbench201", path=tmp_path)


@pytest.fixture(scope="module")
def small():
    """One cell's part, of few epochs, for mutations."""
    entry = cell(0)
    for result in entry["200"]["all_results"].values():
        result["eval_acc1es"] = {k: v for k, v in result["eval_acc1es"].items() if k.endswith("@199")}
        result["train_times"] = {0: 3.0}
    return pickle.dumps(OrderedDict({"200": entry["200"]}), protocol=4)


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_damaged_files_are_read_or_refused(tmp_path_factory, small, data):
    damaged = bytearray(small[: data.draw(st.one_of(st.just(len(small)), st.integers(0, len(small))))])
    for _ in range(data.draw(st.integers(1, 3))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.getbasetemp() / "damaged"
    folder.mkdir(exist_ok=True)
    (folder / "000000.pickle.pbz2").write_bytes(bz2.compress(bytes(damaged)))
    refusal = "000000.pickle.pbz2"
    try:
        _read(_find(folder), 200, progress=False)
    except ValueError as error:
        refusal = str(error)
    assert "000000.pickle.pbz2" in refusal
    assert "\n" not in refusal


def test_a_table_of_ones_own(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(f"architecture,score\n{texts(CODES)[0]},0.5\n{texts(CODES)[1]},0.25\n")
    bench = load_benchmark("nasbench201", path=path)
    assert bench.query(SPACE.cell("333132"), "score") == 0.5
