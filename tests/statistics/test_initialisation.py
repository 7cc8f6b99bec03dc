import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch import nn

from cate_hf import Architecture, get_space
from cate_hf.graphs._cache import CACHE_VARIABLE
from cate_hf.spaces.custom.custom_space import CustomSpace
from cate_hf.statistics import _workers as workers
from cate_hf.statistics import initialisation as module
from cate_hf.statistics.initialisation import (
    InitialisationSettings,
    initialisation,
    initialisation_names,
    networks_to_measure,
    seconds_each,
)

SMALL = InitialisationSettings(batch=4, image_size=8)
WIDTH = len(initialisation_names())


@pytest.fixture(scope="module")
def spaces():
    """Spaces whose lists were made before the tests' own caches hide them."""
    return {name: get_space(name) for name in ("nasbench101", "nasbench201")}


@pytest.fixture(scope="module")
def table(spaces):
    return spaces["nasbench201"].sample(12, seed=2)


@pytest.fixture
def cache(tmp_path, monkeypatch, table):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def files(cache):
    return sorted(cache.glob("initialisation-*/*.parquet"))


class Tiny(nn.Module):
    def __init__(self, architecture: Architecture):
        super().__init__()
        sizes = [1 if name == "a" else 3 for name in architecture.operations[1:-1]]
        layers = [nn.Conv2d(4, 4, size, padding=size // 2) for size in sizes]
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), *layers, nn.ReLU())

    def forward(self, x):
        return self.layers(x).mean(dim=(2, 3))


@pytest.fixture
def own():
    return CustomSpace(name="own", operations=["a", "b"], nodes=[3, 5], builder=lambda architecture: Tiny(architecture))


def test_shape_and_what_is_kept(cache, spaces, table, monkeypatch):
    space = spaces["nasbench201"]
    numbers = initialisation(space, table, SMALL)
    assert numbers.shape == (12, WIDTH)
    assert numbers.dtype == np.float32
    assert np.isfinite(numbers).all()
    assert networks_to_measure(space, table, SMALL) == 0
    monkeypatch.setattr(workers, "measure_rows", None)  # nothing is measured again
    np.testing.assert_array_equal(initialisation(space, table, SMALL), numbers)
    order = np.array([3, 3, 0, 11])
    np.testing.assert_array_equal(initialisation(space, table[order], SMALL), numbers[order])
    wide = table.recode(("output", *space.vocabulary[:-1])).widen(12)
    np.testing.assert_array_equal(initialisation(space, wide, SMALL), numbers)


def test_the_mean_over_initialisations_reuses_those_that_are_there(cache, spaces, table):
    space, few = spaces["nasbench201"], table[:3]
    alone = [initialisation(space, few, InitialisationSettings(seed, 1, 4, 8)) for seed in (5, 6)]
    both = InitialisationSettings(5, 2, 4, 8)
    assert networks_to_measure(space, few, both) == 0
    np.testing.assert_allclose(initialisation(space, few, both), np.mean(alone, axis=0), rtol=1e-6)
    three, four = InitialisationSettings(5, 3, 4, 8), table[:4]
    assert networks_to_measure(space, four, three) == 3 + 3
    numbers = initialisation(space, four, three)
    np.testing.assert_allclose(initialisation(space, four[:3], both), np.mean(alone, axis=0), rtol=1e-6)
    assert (numbers[:3] != np.mean(alone, axis=0)).any()
    assert networks_to_measure(space, four, InitialisationSettings(5, 3, 5, 8)) == 12  # of other settings none is there


@pytest.mark.long
def test_processes_give_what_this_process_gives(cache, spaces, table, own, monkeypatch):
    monkeypatch.setattr(workers, "_FEW", 0)
    monkeypatch.setattr(module, "_TASK", 3)
    for space, cells in ((spaces["nasbench201"], table), (own, own.sample(10, seed=0))):
        beside = initialisation(space, cells, SMALL, jobs=2)
        for path in files(cache):
            path.unlink()
        np.testing.assert_allclose(beside, initialisation(space, cells, SMALL, jobs=1), rtol=1e-4, atol=1e-4)
    assert all("nasbench201" in str(path) for path in files(cache))


def test_a_space_that_a_file_describes_is_measured_and_not_kept(cache, own):
    cells = own.sample(4, seed=1)
    numbers = initialisation(own, cells, SMALL)
    assert np.isfinite(numbers).all()
    assert len(np.unique(numbers, axis=0)) > 1
    assert networks_to_measure(own, cells, SMALL) == 4
    assert files(cache) == []


def test_what_was_measured_before_an_error_is_kept(cache, spaces, table, monkeypatch):
    space, real = spaces["nasbench201"], workers.measure_rows
    monkeypatch.setattr(module, "_TASK", 2)

    def failing(space, part, settings, seeds, row_numbers=None):
        if 7 in row_numbers.tolist() and len(part) > 1:
            raise KeyboardInterrupt
        return real(space, part, settings, seeds, row_numbers)

    monkeypatch.setattr(workers, "measure_rows", failing)
    with pytest.raises(KeyboardInterrupt):
        initialisation(space, table, SMALL, jobs=1)
    left = networks_to_measure(space, table, SMALL)
    assert 0 < left < 12
    assert left % 2 == 0


def test_damaged_and_foreign_files_are_measured_anew(cache, spaces, table):
    space, few = spaces["nasbench201"], table[:2]
    numbers = initialisation(space, few, SMALL)
    (path,) = files(cache)
    whole = path.read_bytes()
    for damaged in (b"", b"PAR1", whole[:-20], whole[:300] + bytes([whole[300] ^ 255]) + whole[301:]):
        path.write_bytes(damaged)
        np.testing.assert_array_equal(initialisation(space, few, SMALL), numbers)
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"key": [1], "seed": [0]}), path)
    np.testing.assert_array_equal(initialisation(space, few, SMALL), numbers)
    assert not path.exists()


def test_many_files_become_one(cache, spaces, table, monkeypatch):
    from cate_hf.statistics import _shards as shards

    space = spaces["nasbench201"]
    monkeypatch.setattr(shards, "_MOST_FILES", 3)
    for rows in range(1, 4):
        initialisation(space, table[:rows], SMALL)
    assert len(files(cache)) == 3
    first = initialisation(space, table[:3], SMALL)
    numbers = initialisation(space, table[:5], SMALL)
    assert len(files(cache)) == 1
    assert networks_to_measure(space, table[:5], SMALL) == 0
    np.testing.assert_array_equal(initialisation(space, table[:5], SMALL), numbers)
    np.testing.assert_array_equal(numbers[:3], first)


def test_a_cache_folder_that_cannot_be_written_is_no_error(cache, spaces, table):
    cache.write_text("a file")
    assert np.isfinite(initialisation(spaces["nasbench201"], table[:2], SMALL)).all()


_RUN = """
import sys
import numpy as np
from cate_hf import get_space
from cate_hf.statistics import initialisation as module

module._SHARD_ROWS = module._TASK = 2
space, settings = get_space("nasbench201"), module.InitialisationSettings(batch=4, image_size=8)
np.save(sys.argv[2], module.initialisation(space, space.from_codes(np.load(sys.argv[1])), settings, jobs=1))
"""


def run(tmp_path, name: str) -> subprocess.Popen:
    command = [sys.executable, "-c", _RUN, str(tmp_path / "codes.npy"), str(tmp_path / f"{name}.npy")]
    return subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})


@pytest.mark.long
def test_killed_and_beside_another(cache, spaces, tmp_path):
    space = spaces["nasbench201"]
    codes = np.random.default_rng(3).integers(1, 5, (80, 6)).astype(np.uint8)
    np.save(tmp_path / "codes.npy", codes)
    killed, other = run(tmp_path, "killed"), run(tmp_path, "other")
    try:
        while len(files(cache)) < 4:
            assert killed.poll() is None or other.poll() is None, "both ended before they were killed"
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
        assert killed.wait() != 0
        assert other.wait(timeout=120) == 0
    finally:
        killed.kill()
        other.kill()
    expected = np.load(tmp_path / "other.npy")
    table = space.from_codes(codes)
    assert networks_to_measure(space, table, SMALL) == 0
    np.testing.assert_array_equal(initialisation(space, table, SMALL), expected)
    assert len(list(cache.glob("initialisation-*/.*"))) <= 1  # what the killed one may have been writing


def test_bad_settings_and_spaces_without_a_network(cache, spaces, table, own):
    space = spaces["nasbench201"]
    with pytest.raises(ValueError, match="jobs must be at least 1, not 0"):
        initialisation(space, table, SMALL, jobs=0)
    for name, value in (("seed", -1), ("initialisations", 0), ("batch", 1), ("image_size", 1.5), ("batch", True)):
        with pytest.raises(ValueError, match=f"{name} must be a whole number from"):
            InitialisationSettings(**{name: value})
    plain = CustomSpace(name="plain", operations=["a"], nodes=[3, 4])
    with pytest.raises(ValueError, match="does not say how to build a network"):
        initialisation(plain, plain.sample(2, seed=0), SMALL)
    with pytest.raises(ValueError, match="row 0: nasbench201 does not build a network with 'depth'"):
        initialisation(space, table, InitialisationSettings(network={"depth": 3}))
    with pytest.raises(ValueError, match="row 0: channels must be .*0"):
        initialisation(space, table, InitialisationSettings(network={"channels": 0}))
    with pytest.raises(ValueError, match="row 0: the network cannot be run on images of 2 × 2"):
        initialisation(own, own.sample(3, seed=0), InitialisationSettings(image_size=2))


def test_no_rows(cache, spaces, table):
    assert initialisation(spaces["nasbench201"], table[:0], SMALL).shape == (0, WIDTH)


def test_a_speed_is_measured(cache, spaces, table):
    assert 0 < seconds_each(spaces["nasbench201"], table, SMALL) < 60
    assert files(cache) == []


def test_threads_are_as_they_were(cache, spaces, table):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        initialisation(spaces["nasbench201"], table[:1], SMALL)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
