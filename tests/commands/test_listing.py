"""--json and --quiet of all verbs, and `cate doctor`."""

import configparser
import json
from pathlib import Path

import pytest

from cate_hf import __version__, get_space
from cate_hf.cli import main
from cate_hf.commands import VERBS
from cate_hf.commands._doctor import EXTRAS
from cate_hf.graphs import write_parquet
from cate_hf.graphs._cache import CACHE_VARIABLE
from tests.tiny import CELLS, PLAIN, save_tiny


@pytest.fixture
def printed(capsys, tmp_path, monkeypatch):
    """Run a verb that succeeds, with an empty cache; returns what it printed."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        capsys.readouterr()
        assert main(list(arguments)) == 0
        return capsys.readouterr().out

    return run


def test_every_verb_but_doctor_can_be_quiet(capsys):
    for verb in VERBS:
        assert main([verb, "--help"]) == 0
        assert ("--quiet" in capsys.readouterr().out) == (verb != "doctor"), verb
    assert main(["doctor", "--quiet"]) == 2


@pytest.mark.parametrize("verb", ["spaces", "models"])
def test_lists(printed, verb):
    rows = json.loads(printed(verb, "--json"))
    names = [row["name"] for row in rows]
    assert "nasbench101" in names
    assert printed(verb, "--quiet").splitlines() == names
    assert all(name in printed(verb) for name in names)


def test_models_lists_universal_and_predictors(printed):
    rows = {row["name"]: row for row in json.loads(printed("models", "--json"))}
    assert (rows["universal"]["kind"], rows["universal"]["dim"]) == ("encoder", 248)
    assert (rows["nasbench101-accuracy"]["kind"], rows["nasbench101-accuracy"]["dim"]) == ("predictor", None)


def test_numbers_are_numbers(printed):
    spaces = {row["name"]: row for row in json.loads(printed("spaces", "--json"))}
    assert spaces["nasbench101"]["architectures"] == 423_624
    assert spaces["darts"]["architectures"] is None
    assert spaces["nasbench201"]["benchmarks"] == [{"name": "nasbench201", "needs_file": False}]
    assert json.loads(printed("cache", "--json")) == []


def test_one_architecture(printed):
    space, text = get_space("nasbench101"), PLAIN.to_json()
    shown = json.loads(printed("show", text, "--space", "nasbench101", "--json"))
    assert shown["hash"] == space.hash(PLAIN)
    assert shown["parameters"] == space.parameters(PLAIN)
    assert {name: shown[name] for name in ("operations", "adjacency")} == PLAIN.to_dict()
    assert printed("show", text, "--quiet", "--output", "cell.svg") == f"{PLAIN.hash()}\n"
    assert Path("cell.svg").is_file()


def test_neighbours(printed, tmp_path):
    Path("cell.json").write_text(PLAIN.to_json())
    model = str(save_tiny(tmp_path / "tiny"))
    write_parquet(get_space("nasbench101").with_costs(get_space("nasbench101").table(CELLS)), "sample.parquet")
    assert printed("encode", "--input", "sample.parquet", "--model", model, "--output", "e.parquet", "-q") == ""
    arguments = ("neighbours", "--model", model, "--input", "cell.json", "--encodings", "e.parquet", "-k", "2")
    rows = json.loads(printed(*arguments, "--json"))
    assert len(rows) == 2
    assert rows[0]["distance"] <= rows[1]["distance"]
    assert isinstance(rows[0]["edit_distance"], int)
    assert printed(*arguments, "--quiet").splitlines() == [row["hash"] for row in rows]


def test_a_quiet_search_says_nothing(printed, capsys):
    search = ("search", "--space", "nasbench201", "--algorithm", "random", "--queries", "2", "--trials", "1")
    assert "wrote a.json" in printed(*search, "--output", "a.json")
    capsys.readouterr()
    assert main([*search, "--output", "b.json", "-q"]) == 0
    assert capsys.readouterr() == ("", "")


def test_quiet_still_tells_errors(capsys, tmp_path):
    assert main(["enumerate", "nasbench10", "--output", str(tmp_path / "x.parquet"), "--quiet"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "did you mean 'nasbench101'" in captured.err


def test_doctor(printed, monkeypatch):
    monkeypatch.setenv("CATE_HF_THREADS", "1")
    found = json.loads(printed("doctor", "--json"))
    assert found["cate_hf"] == __version__
    assert found["threads"] == 1
    assert found["variables"]["CATE_HF_THREADS"] == "1"
    assert found["cache"]["entries"] == 0
    assert found["packages"]["torch"]
    assert isinstance(found["bfloat16"], bool)
    text = printed("doctor")
    for name in found["extras"]:
        assert name in text


def test_doctor_knows_what_each_extra_is_for():
    setup = configparser.ConfigParser()
    setup.read(Path(__file__).parents[2] / "setup.cfg")
    assert set(setup["options.extras_require"]) <= set(EXTRAS)
