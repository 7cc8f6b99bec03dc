"""A little of `make fuzz` in each run of the tests, what it has found, and its own workings."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cate_hf.hub._checks_files import CheckpointError, check_repo_names, parse_json
from tests.fuzz.engine import Fuzzer, Progress, limits
from tests.fuzz.mutation import mutate_json
from tests.fuzz.targets import Target, make, makers, outcome

INPUTS = 150
FINDS = sorted((Path(__file__).parent / "finds").iterdir())


@pytest.fixture(scope="module")
def targets(tmp_path_factory):
    made: dict[str, Target] = {}
    root = tmp_path_factory.mktemp("fuzz")

    def of(name: str) -> tuple[Target, Path]:
        if name not in made:
            made[name] = make(name, root)
        return made[name], root / name

    return of


@pytest.mark.parametrize("name", makers())
def test_damaged_files_are_read_or_refused_in_one_line(name, targets):
    target, scratch = targets(name)
    with limits(memory=None):
        fuzzer = Fuzzer(target, 2026, scratch, Progress())
        fuzzer.run(inputs=INPUTS)
    if fuzzer.progress.find:
        raise AssertionError(f"input {fuzzer.progress.tried - 1}: {fuzzer.error}") from fuzzer.error
    assert fuzzer.progress.tried == INPUTS
    assert fuzzer.progress.kinds > 3  # so the damage gets beyond the first check


@pytest.mark.parametrize("file", FINDS, ids=lambda path: path.name)
def test_what_was_found_stays_mended(file, targets, tmp_path):
    target, _ = targets(file.name.partition("-")[0])
    path = tmp_path / f"input{target.suffix}"
    path.write_bytes(file.read_bytes())
    outcome(target, path)


def test_a_find_stops_a_target_and_is_kept(tmp_path):
    def read(path: Path) -> None:
        if b"7" in path.read_bytes():
            raise ZeroDivisionError("seven")
        raise ValueError("refused\nin two lines" if b"8" in path.read_bytes() else "refused")

    def mutate(rng: random.Random, corpus) -> bytes:
        return str(rng.randrange(10)).encode()

    def fuzz(progress: Progress, sound: bytes = b"") -> Fuzzer:
        target = Target("broken", ".txt", [], mutate, read)
        with limits(memory=None):
            fuzzer = Fuzzer(target, 1, tmp_path, progress, tmp_path / "out")
            fuzzer.run(inputs=1000)
        return fuzzer

    first = fuzz(Progress())
    assert first.progress.find
    assert first.progress.tried < 1000
    found = tmp_path / "out" / "finds" / first.progress.find
    assert found.read_bytes() in (b"7", b"8")
    assert "ZeroDivisionError" in found.with_name(f"{found.name}.txt").read_text() or found.read_bytes() == b"8"
    assert fuzz(Progress()).progress.find == first.progress.find  # the same seed, the same inputs
    later = fuzz(Progress(tried=first.progress.tried))
    assert later.progress.tried > first.progress.tried


def test_the_command_goes_on_where_it_stopped(tmp_path):
    command = [sys.executable, "-m", "tests.fuzz", "--minutes", "0.05", "--targets", "dot", "--output", str(tmp_path)]
    tried = []
    for _ in range(2):
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[2], env={**os.environ}
        )
        assert done.returncode == 0, done.stdout + done.stderr
        tried.append(json.loads((tmp_path / "state.json").read_text())["dot"]["tried"])
    assert 0 < tried[0] < tried[1]


def said_of(check) -> tuple:
    """What a refusal says, None without one, and the result."""
    try:
        return None, check()
    except CheckpointError as error:
        said = str(error)
    assert said.isprintable()
    return said, None


@given(st.randoms(use_true_random=False), st.integers(0, 3))
@settings(deadline=None, max_examples=200)
def test_any_json_is_an_object_or_told(rng, depth):
    content = b'{"a": [1, {"b": null}], "c": "d"}'
    for _ in range(depth):
        content = mutate_json(rng, [content])
    said, value = said_of(lambda: parse_json(content, "file"))
    if said is None:
        assert json.loads(content) == value


NAMES = st.lists(
    st.sampled_from(["..", ".", "a", "b.json", "", "C:", "\\", "\x00", "é", "..a"]), min_size=1, max_size=4
)


@given(st.lists(st.one_of(NAMES.map("/".join), st.text(max_size=20)), max_size=4))
@settings(deadline=None, max_examples=300)
def test_names_that_pass_stay_in_their_folder(names):
    if said_of(lambda: check_repo_names(names))[0] is not None:
        return
    places = [os.path.normpath(os.path.join("/folder", name)) for name in names]
    assert all(place.startswith("/folder/") for place in places)
    assert all(place.removeprefix("/folder/") == name for place, name in zip(places, names, strict=True))
