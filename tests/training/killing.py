"""Runs of pre-training as real processes, by `accelerate launch` where there are several, and what kills them."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import torch
from safetensors.torch import load_file

SPACE = """
name: killed
operations: {conv: {parameters: 9}, pool: {parameters: 0}}
nodes: [2, 5]
edges: [1, 7]
pairing: {cost: parameters, window: 9, partners: 1}
"""
SECONDS = float(os.environ.get("CATE_TEST_SECONDS", "240"))  # more where other programs run
CONFIGS = Path(__file__).parents[2] / "accelerate_configs"


def launch(
    output: Path,
    *options,
    processes: int = 1,
    limit: int | None = None,
    config: str | None = None,
    module: str = "cate_hf.training.pretrain",
) -> subprocess.Popen:
    """Start a run of the space above.

    Args:
        config: name of one of the given configurations of Accelerate.
        module: that is started.
        limit: the most bytes that one of its files may have, as on a disk that is full.
    """
    space = output.parent / "killed.yaml"
    if not space.exists():
        space.write_text(SPACE)
    command = [sys.executable]
    if processes > 1 or config is not None:
        command = [str(Path(sys.executable).with_name("accelerate")), "launch", "--num_machines", "1"]
        command += ["--num_processes", str(processes), "--mixed_precision", "no", "--dynamo_backend", "no"]
        command += ["--multi_gpu"] if config is None else ["--config_file", str(CONFIGS / f"{config}.yaml")]
    if processes > 1:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        command += ["--main_process_ip", "127.0.0.1", "--main_process_port", str(port)]
    command += ["-m", module, "--cpu", "--mixed-precision", "no", "--space", str(space)]
    command += ["--output-dir", str(output), "--log-every", "1", "--evaluate-pairs", "16", *map(str, options)]

    def set_limit() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"CATE_HF_THREADS": "1", "OMP_NUM_THREADS": "1"},
        preexec_fn=set_limit if limit is not None else None,
    )


def finish(process: subprocess.Popen) -> tuple[int, str]:
    """Exit code and standard error of a run that ends by itself."""
    _, error = process.communicate(timeout=SECONDS)
    return process.returncode, error


def descendants(process: subprocess.Popen) -> list[psutil.Process]:
    """The launcher and all that it started; with several processes each has a session of its own."""
    try:
        parent = psutil.Process(process.pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kill_all(process: subprocess.Popen) -> None:
    for one in descendants(process):
        with contextlib.suppress(psutil.NoSuchProcess):
            one.send_signal(signal.SIGKILL)
    process.communicate(timeout=SECONDS)


def log_changes(output: Path) -> int:
    """Another number once a run has begun to write its log."""
    try:
        return (output / "training" / "log.jsonl").stat().st_mtime_ns
    except OSError:
        return 0


def logged_lines(output: Path) -> int:
    """Lines of the log so far."""
    try:
        return (output / "training" / "log.jsonl").read_bytes().count(b"\n")
    except OSError:
        return 0


def states(output: Path) -> list[str]:
    folder = output / "training"
    return sorted(p.name for p in folder.glob("step-*")) if folder.is_dir() else []


def being_written(output: Path) -> bool:
    """Whether a state is being written now."""
    try:
        return any(name.endswith(".tmp") and name.startswith(".step") for name in os.listdir(output / "training"))
    except OSError:
        return False


def wait_until(condition, process: subprocess.Popen) -> bool:
    """Whether the condition came to hold before the run ended."""
    deadline = time.time() + SECONDS
    while not condition():
        if process.poll() is not None:
            return False
        assert time.time() < deadline
        time.sleep(0.001)
    return True


def killed_until_done(output: Path, kills: int, rng, *options, processes: int = 1) -> dict[str, int]:
    """Start a run again and again, and kill it at random moments so many times; then let it finish.

    Returns:
        how many kills there were, and how many of them while a state was being written.
    """
    counts = {"kills": 0, "while_writing": 0, "before_a_state": 0}
    while True:
        if states(output):
            process = launch(output, *options, "--resume", processes=processes)
        else:
            process = launch(output, *options, "--overwrite", processes=processes)
        if counts["kills"] == kills:
            code, error = finish(process)
            assert code == 0, error[-3000:]
            return counts
        # Lines of the log are of steps and of evaluations; the log is rewound when the run is resumed.
        before = log_changes(output)
        alive = wait_until(lambda before=before: log_changes(output) != before, process)
        lines = logged_lines(output) + int(rng.integers(0, 6))
        alive = alive and wait_until(lambda enough=lines: logged_lines(output) >= enough, process)
        if alive and rng.random() < 0.5:
            alive = wait_until(lambda: being_written(output), process)
        elif alive:
            time.sleep(float(rng.random()) * 0.2)
        writing = alive and being_written(output)
        if alive and process.poll() is None:
            counts["kills"] += 1
            counts["while_writing"] += writing
            counts["before_a_state"] += not states(output)
            kill_all(process)
        else:
            code, error = finish(process)
            assert code == 0, error[-3000:]
            return counts


def weights(output: Path) -> dict[str, torch.Tensor]:
    return load_file(output / "model.safetensors")


def same_bits(first: Path, second: Path) -> bool:
    a, b = weights(first), weights(second)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def losses(output: Path) -> dict[int, float]:
    entries = map(json.loads, (output / "training" / "log.jsonl").read_text().splitlines())
    return {entry["step"]: entry["loss"] for entry in entries if "loss" in entry}
