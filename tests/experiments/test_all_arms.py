"""Every encoding under every search algorithm, on the one benchmark that needs no file."""

import numpy as np
import pytest

from cate_hf.cli import main
from cate_hf.encodings import encoding_names
from cate_hf.encodings.registry import _OWN
from cate_hf.experiments.grid import read_trials, run_grid
from cate_hf.experiments.settings import CompareSettings
from cate_hf.search import algorithm_names, get_algorithm

ENCODINGS = tuple(name for name in encoding_names() if name in _OWN)  # not those that another test registers
ALGORITHMS = tuple(
    name + steps
    for name in algorithm_names()
    for steps in ("", "/encoding")
    if not steps or any("encoding" in get_algorithm(name).choices.get(s, ()) for s in ("perturb", "sample"))
)
# So few random candidates at first that a model is trained, and steps are taken, within the five queries.
FEW = {"initial": 2, "proposed": 4, "population": 2, "tournament": 2, "members": 2, "screened": 20}
FEW |= {"predictors": "fixed"}  # encoders that are fine-tuned look at no encoding, and take their time
OPTIONS = tuple(
    (name, setting, value)
    for name in algorithm_names()
    for setting, value in FEW.items()
    if setting in get_algorithm(name).defaults
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """60 candidates, whose vectors are computed once an encoding."""
    settings = CompareSettings(
        space="nasbench201",
        encodings=ENCODINGS,
        algorithms=ALGORITHMS,
        queries=5,
        trials=1,
        pool=60,
        options=OPTIONS,
    )
    folder = tmp_path_factory.mktemp("arms") / "all"
    run_grid(folder, settings)
    return folder, settings


def test_the_lists_are_whole():
    assert {"cate", "d-vae", "arch2vec", "structure", "zero-cost", "path", "adjacency"} <= set(ENCODINGS)
    assert len(ENCODINGS) >= 17
    assert {"random", "random/encoding", "local-search/encoding", "bo-dngo", "cate-dngo-ls"} <= set(ALGORITHMS)
    assert len(ALGORITHMS) >= 13


@pytest.mark.long
def test_all_encodings_run_under_all_algorithms(folder):
    path, settings = folder
    assert len(settings.arms()) >= len(ENCODINGS) * 10
    trials = read_trials(path, settings)
    for arm, runs in trials.items():
        (run,) = runs
        assert len({query["hash"] for query in run["queries"]}) == 5, arm
        assert np.isfinite(run["best_so_far"]).all(), arm
        assert run["regret"][-1] >= 0, arm
    # An encoding makes a difference: what is asked after the first two depends on it.
    for algorithm in ("bo-dngo", "cate-dngo-ls", "local-search/encoding"):
        asked = {tuple(q["hash"] for q in trials[algorithm, name][0]["queries"]) for name in ENCODINGS}
        assert len(asked) > len(ENCODINGS) / 2, algorithm


@pytest.mark.slow
def test_all_of_them_by_the_command(tmp_path):
    command = ["compare", "--space", "nasbench201", "--encodings", ",".join(ENCODINGS)]
    command += ["--algorithms", ",".join(ALGORITHMS), "--queries", "5", "--trials", "1", "--pool", "60"]
    command += [part for option in OPTIONS for part in ("--set", "{}.{}={}".format(*option))]
    assert main([*command, "--output", str(tmp_path / "all")]) == 0
    table = (tmp_path / "all" / "table.md").read_text()
    for name in (*ENCODINGS, *ALGORITHMS):
        assert f"| {name} |" in table
    assert (tmp_path / "all" / "regret-bo-dngo.png").stat().st_size > 1000
