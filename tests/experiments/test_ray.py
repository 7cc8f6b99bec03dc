"""Comparisons on a Ray cluster, where the package is installed: a real local one, and a worker that is killed."""

import threading
import time
from dataclasses import replace

import psutil
import pytest

from cate_hf.experiments.grid import read_trials, run_grid
from tests.experiments.test_compare import SMALL

pytest.importorskip("ray", reason="Ray is not installed: pip install 'cate_hf[ray]'")


def kill_a_worker(folder, killed):
    """kill -9 a worker of this process's cluster that is at a trial, as soon as two trials are finished."""
    for _ in range(1200):
        if len(list(folder.glob("trials/[!.]*.json"))) >= 2:
            for process in psutil.Process().children(recursive=True):
                try:
                    if "ray::_limited" in " ".join(process.cmdline()):
                        process.kill()
                        killed.append(process.pid)
                        return
                except psutil.Error:
                    continue
        time.sleep(0.05)


def test_a_killed_worker_is_told_and_the_grid_goes_on(tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    settings = replace(SMALL, trials=30, pool=400)
    killed = []
    thread = threading.Thread(target=kill_a_worker, args=(tmp_path / "ray", killed))
    thread.start()
    with pytest.raises(ValueError, match="a Ray worker ended in the middle of a trial") as error:
        run_grid(tmp_path / "ray", settings, jobs=2, backend="ray")
    thread.join()
    assert killed
    assert "\n" not in str(error.value)
    kept = {file: file.stat().st_mtime_ns for file in (tmp_path / "ray").glob("trials/[!.]*.json")}
    assert 2 <= len(kept) < 90
    run_grid(tmp_path / "ray", settings, jobs=2, backend="ray")
    assert all(file.stat().st_mtime_ns == time for file, time in kept.items())
    run_grid(tmp_path / "here", settings)
    here = read_trials(tmp_path / "here", settings)
    for arm, runs in read_trials(tmp_path / "ray", settings).items():
        assert len(runs) == 30
        assert [run["queries"] for run in runs] == [run["queries"] for run in here[arm]]


def test_no_cluster_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "no such address")
    with pytest.raises(ValueError, match="no Ray cluster at no such address") as error:
        run_grid(tmp_path / "none", SMALL, backend="ray")
    assert "\n" not in str(error.value)
