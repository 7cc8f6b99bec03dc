"""What a run survives: kills at any moment, a full disk, a lost process; and what it refuses."""

import signal

import numpy as np
import pytest

from tests.training.killing import (
    descendants,
    finish,
    kill_all,
    killed_until_done,
    launch,
    losses,
    same_bits,
    states,
    wait_until,
)

# Sixteen steps are an epoch; a state is written at every third. Dropout is on: random numbers are resumed too.
OPTIONS = ("--batch-size", "32", "--save-every", "3", "--dropout", "0.1", "--statistics-batch-size", "8")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run."""
    output = tmp_path_factory.mktemp("whole") / "run"
    code, error = finish(launch(output, *OPTIONS, "--max-steps", "30"))
    assert code == 0, error[-3000:]
    return output


@pytest.mark.long
def test_kills_at_random_moments_leave_the_weights_to_the_bit(whole, tmp_path):
    counts = killed_until_done(tmp_path / "run", 2, np.random.default_rng(0), *OPTIONS, "--max-steps", "30")
    assert counts["kills"] == 2
    assert same_bits(whole, tmp_path / "run")
    assert len(states(tmp_path / "run")) == 2
    assert losses(tmp_path / "run") == losses(whole)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_twenty_kills(tmp_path, processes):
    # A cycle goes on by a state or two: twenty kills come before and after the end of an epoch.
    options = (*OPTIONS, "--max-steps", "60", "--gradient-accumulation-steps", "2")
    code, error = finish(launch(tmp_path / "whole", *options, processes=processes))
    assert code == 0, error[-3000:]
    counts = killed_until_done(tmp_path / "run", 20, np.random.default_rng(processes), *options, processes=processes)
    print(processes, "process(es):", counts)
    assert counts["kills"] == 20
    assert counts["while_writing"] >= 1
    assert same_bits(tmp_path / "whole", tmp_path / "run")
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")


@pytest.mark.long
def test_what_is_there_is_not_overwritten_and_not_resumed_with_other_settings(whole):
    code, error = finish(launch(whole, *OPTIONS, "--max-steps", "30"))
    assert code != 0
    assert "--resume" in error
    code, error = finish(launch(whole, *OPTIONS, "--max-steps", "30", "--resume", "--seed", "5"))
    assert code != 0
    assert "seed is 5 here and 0 there" in error


@pytest.mark.long
def test_another_number_of_processes_is_refused(whole):
    code, error = finish(launch(whole, *OPTIONS, "--max-steps", "30", "--resume", processes=2))
    assert code != 0
    assert "processes is 2 here and 1 there" in error


@pytest.mark.long
def test_a_full_disk_is_told_and_what_was_there_is_kept(tmp_path):
    code, error = finish(launch(tmp_path / "run", *OPTIONS, "--max-steps", "30", limit=200_000))
    assert code != 0
    lines = [line for line in error.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "File too large" in lines[0]
    assert states(tmp_path / "run") == []
    assert sorted(path.name for path in (tmp_path / "run" / "training").iterdir()) == ["log.jsonl"]


@pytest.mark.slow
def test_a_lost_process_ends_the_run_and_it_can_be_resumed(tmp_path):
    options = (*OPTIONS, "--max-steps", "24")
    process = launch(tmp_path / "run", *options, processes=2)
    assert wait_until(lambda: states(tmp_path / "run"), process)
    workers = [one for one in descendants(process) if "cate_hf.training.pretrain" in " ".join(one.cmdline()[:4])]
    workers = [one for one in workers if one.pid != process.pid]
    assert len(workers) == 2
    workers[-1].send_signal(signal.SIGKILL)
    code, error = finish(process)
    kill_all(process)
    assert code != 0
    code, error = finish(launch(tmp_path / "run", *options, "--resume", processes=2))
    assert code == 0, error[-3000:]
    code, error = finish(launch(tmp_path / "whole", *options, processes=2))
    assert code == 0, error[-3000:]
    assert same_bits(tmp_path / "whole", tmp_path / "run")


@pytest.mark.long
def test_a_loss_that_is_not_finite_names_step_and_last_good_state(tmp_path):
    options = (*OPTIONS, "--max-steps", "30", "--warmup-steps", "20", "--learning-rate", "1e20", "--log-every", "50")
    code, error = finish(launch(tmp_path / "run", *options))
    assert code != 0
    lines = [line for line in error.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "at step" in lines[0]
