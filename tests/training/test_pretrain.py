"""Real processes on the real space, with small steps."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoModelForPreTraining, AutoTokenizer

import cate_hf

SMALL = ("--statistics-batch-size", "16")
ACCELERATE = Path(sys.executable).with_name("accelerate")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def command(output, *options, processes=None):
    launch = [sys.executable]
    if processes:
        launch = [str(ACCELERATE), "launch", "--num_processes", str(processes), "--num_machines", "1"]
        # With --cpu the launcher starts one process, however many are asked for.
        launch += ["--cpu"] if processes == 1 else ["--multi_gpu"]
        launch += ["--mixed_precision", "no", "--dynamo_backend", "no"]
        if processes > 1:
            launch += ["--main_process_ip", "127.0.0.1", "--main_process_port", str(free_port())]
    launch += ["-m", "cate_hf.training.pretrain", "--cpu", "--space", "nasbench101", "--output-dir", str(output)]
    return [*launch, "--mixed-precision", "no", "--evaluate-pairs", "64", "--log-every", "1", *SMALL, *options]


def launch(output, *options, processes=None):
    environment = os.environ | {"TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(
        command(output, *options, processes=processes), capture_output=True, text=True, env=environment, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def losses(output):
    entries = [json.loads(line) for line in (output / "training" / "log.jsonl").read_text().splitlines()]
    return {e["step"]: e["loss"] for e in entries if "loss" in e}, [e for e in entries if "validation_loss" in e]


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    output = tmp_path_factory.mktemp("one") / "run"
    launch(output, "--max-steps", "20", "--batch-size", "32", "--save-every", "0", processes=1)
    return output


def test_a_run_leaves_a_whole_checkpoint(one_process):
    names = {p.name for p in one_process.iterdir()}
    remote = {"configuration_cate.py", "modeling_cate.py", "tokenization_cate.py"}
    assert names >= remote | {"config.json", "model.safetensors", "README.md", "training"}
    assert not [p for p in one_process.rglob("*") if p.suffix in (".bin", ".pt", ".pkl")]
    model = AutoModel.from_pretrained(one_process)
    tokenizer = AutoTokenizer.from_pretrained(one_process)
    cell = cate_hf.Architecture(["input", "conv3x3-bn-relu", "output"], [[0, 1, 1], [0, 0, 1], [0, 0, 0]])
    with torch.inference_mode():
        encoding = model(**tokenizer([cell], return_tensors="pt")).pooler_output
    parts = {name: part.stop - part.start for name, part in model.config.encoding_parts.items()}
    assert list(parts) == ["computation", "wiring"]
    assert parts["computation"] == 30
    assert 64 < parts["wiring"] <= 128
    assert encoding.shape == (1, sum(parts.values()))
    assert AutoModelForPreTraining.from_pretrained(one_process).config.space == "nasbench101"
    card = (one_process / "README.md").read_text()
    assert "--max-steps 20" in card
    assert "20" in card
    loss, evaluations = losses(one_process)
    assert loss[20] < loss[1]
    assert set(evaluations[-1]) >= {"validation_accuracy_x", "validation_loss", "validation_r2_structure"}
    # The encoding's wiring has mean 0 and variance 1 over the space.
    space = cate_hf.get_space("nasbench101")
    encodings = cate_hf.load_encoder(one_process).encode(space.sample(2000, seed=0), parts=["wiring"])
    assert abs(encodings.mean(0)).max() < 0.15
    assert encodings.std(0) == pytest.approx(1, abs=0.15)


@pytest.mark.long
def test_two_processes_give_the_curve_of_one(one_process, tmp_path):
    launch(tmp_path / "two", "--max-steps", "20", "--batch-size", "32", "--save-every", "0", processes=2)
    one, two = losses(one_process)[0], losses(tmp_path / "two")[0]
    assert sorted(one) == sorted(two) == list(range(1, 21))
    assert max(abs(one[s] - two[s]) for s in one) < 1e-3


@pytest.mark.long
def test_accumulation_gives_the_same_curve(one_process, tmp_path):
    options = ("--max-steps", "20", "--batch-size", "32", "--gradient-accumulation-steps", "4", "--save-every", "0")
    launch(tmp_path / "four", *options)
    four, plain = losses(tmp_path / "four")[0], losses(one_process)[0]
    assert max(abs(four[s] - plain[s]) for s in plain) < 1e-4


def wait_for(path, process, seconds=120):
    deadline = time.time() + seconds
    while not path.exists():
        assert process.poll() is None, process.stderr.read()[-3000:]
        assert time.time() < deadline
        time.sleep(0.05)


def run_and_signal(output, number, *options):
    """Start a run, and send the signal to all its processes once its first state is written."""
    process = subprocess.Popen(
        command(output, *options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_for(output / "training" / "step-00000004", process)
    os.killpg(process.pid, number)
    _, error = process.communicate(timeout=120)
    return process.returncode, error


def test_ctrl_c_leaves_a_state_to_resume_from(tmp_path):
    options = ("--max-steps", "400", "--batch-size", "16", "--save-every", "4")
    _, error = run_and_signal(tmp_path / "run", signal.SIGINT, *options)
    assert "--resume" in error
    states = [p.name for p in (tmp_path / "run" / "training").glob("step-*")]
    assert states
    assert not (tmp_path / "run" / "config.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--space", "nasbench102"], "nasbench101"),
        (["--batch-size", "7", "--gradient-accumulation-steps", "2"], "multiple of 2"),
        (["--pairs", "nowhere"], "not a folder of pairs"),
        (["--resume"], "nothing to resume"),
    ],
)
def test_bad_input_is_one_line(tmp_path, options, message):
    process = [sys.executable, "-m", "cate_hf.training.pretrain", "--cpu", "--output-dir", str(tmp_path / "run")]
    done = subprocess.run([*process, *options], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last
    assert "Traceback" not in done.stderr
