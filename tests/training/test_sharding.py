"""Weights in shards over two processes, as the given configuration starts them, beside whole weights."""

import torch

from tests.training.killing import finish, kill_all, launch, losses, same_bits, states, wait_until, weights

# Dropout, clipping, accumulation, lengths that differ, and a loss that does not reach all weights.
OPTIONS = ("--batch-size", "32", "--statistics-batch-size", "8", "--max-steps", "9", "--save-every", "3")
OPTIONS += ("--dropout", "0.1", "--gradient-accumulation-steps", "2", "--max-grad-norm", "1", "--length-multiple", "1")


def whole_run(output, *options, config):
    code, error = finish(launch(output, *options, processes=2, config=config))
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
