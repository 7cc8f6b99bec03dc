"""Weights in shards over two processes, as the given configuration starts them, beside whole weights."""

import pytest
import torch

from tests.training.killing import finish, kill_all, launch, losses, same_bits, states, wait_until, weights

# Dropout, clipping, accumulation, lengths that differ, and a loss that does not reach all weights.
OPTIONS = ("--batch-size", "32", "--statistics-batch-size", "8", "--max-steps", "9", "--save-every", "3")
OPTIONS += ("--dropout", "0.1", "--gradient-accumulation-steps", "2", "--max-grad-norm", "1", "--length-multiple", "1")


def whole_run(output, *options, **how):
    code, error = finish(launch(output, *options, processes=2, **how))
    assert code == 0, error[-3000:]
    return output


def difference(first, second):
    a, b = weights(first), weights(second)
    assert a.keys() == b.keys()
    return max(float((a[name] - b[name]).abs().max()) for name in a)


def test_shards_have_the_weights_of_whole_ones_and_are_resumed_to_the_bit(tmp_path):
    whole = whole_run(tmp_path / "whole", *OPTIONS, config="cpu_ddp")
    sharded = whole_run(tmp_path / "sharded", *OPTIONS, config="cpu_fsdp")
    assert difference(whole, sharded) < 1e-4
    one, other = losses(whole), losses(sharded)
    assert sorted(one) == sorted(other) == list(range(1, 10))
    assert max(abs(one[step] - other[step]) for step in one) < 1e-4
    assert all(value.dtype == torch.float32 for value in weights(sharded).values())

    killed = tmp_path / "killed"
    process = launch(killed, *OPTIONS, processes=2, config="cpu_fsdp")
    assert wait_until(lambda: states(killed), process)
    kill_all(process)
    whole_run(killed, *OPTIONS, "--resume", config="cpu_fsdp")
    assert same_bits(sharded, killed)
    assert losses(killed) == other


def test_deepspeed_has_the_losses_of_whole_weights_and_is_resumed_to_the_bit(tmp_path, monkeypatch):
    pytest.importorskip("deepspeed", reason="deepspeed is not installed")
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    deepspeed = {"config": "deepspeed_zero2", "module": "tests.training.deepspeed_on_cpu"}
    options = (*OPTIONS[:8], "--max-grad-norm", "1", "--gradient-accumulation-steps", "2")
    one, other = losses(whole_run(tmp_path / "whole", *options, config="cpu_ddp")), tmp_path / "shared"
    whole_run(other, *options, **deepspeed)
    assert max(abs(one[step] - losses(other)[step]) for step in one) < 1e-4
    killed = tmp_path / "killed"
    process = launch(killed, *options, processes=2, **deepspeed)
    assert wait_until(lambda: states(killed), process)
    kill_all(process)
    whole_run(killed, *options, "--resume", **deepspeed)
    assert same_bits(other, killed)
    assert losses(killed) == losses(other)
