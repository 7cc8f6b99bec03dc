"""What a training step does to an accelerator, shown where there is none: the meta device in its place."""

from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from cate_hf import get_space
from cate_hf.graphs import write_parquet
from cate_hf.training._global_batches import global_batches
from cate_hf.training._setup import pretraining_config
from cate_hf.training.run import Pretraining
from cate_hf.training.settings import PretrainSettings, RunOptions

READS = ("_local_scalar_dense", "item", "equal", "nonzero", "masked_select", "unique", "is_nonzero")


class Traffic(TorchDispatchMode):
    """Counts copies to a device, tensors made on the CPU, and reads of a device's numbers, by shapes too."""

    def __init__(self):
        super().__init__()
        self.from_device: list[str] = []
        self.to_device = 0
        self.on_cpu: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        results = [leaf for leaf in tree_leaves(made) if isinstance(leaf, torch.Tensor)]
        on_device = any(tensor.device.type == "meta" for tensor in given)
        boolean_index = name in ("index", "index_put_") and any(tensor.dtype == torch.bool for tensor in given[1:])
        if on_device and (name in READS or boolean_index or any(r.device.type == "cpu" for r in results)):
            self.from_device.append(name)
        if not on_device and any(r.device.type == "meta" for r in results):
            self.to_device += name == "_to_copy"
        if (
            not on_device
            and name not in ("detach", "alias", "view", "slice")
            and any(r.device.type == "cpu" for r in results)
        ):
            self.on_cpu.append(name)
        return made


@pytest.fixture
def run(request, tmp_path, monkeypatch):
    """A run of 150 cells whose accelerator is the meta device."""
    monkeypatch.setattr(Accelerator, "device", property(lambda self: torch.device("meta")))
    return make_run(tmp_path, **request.param)


def make_run(folder: Path, **settings) -> Pretraining:
    space = get_space("nasbench201")
    write_parquet(space.with_costs(space.sample(150, seed=0)), folder / "cells.parquet")
    shape = {"batch_size": 16, "statistics_batch_size": 16, "epochs": 1.0, "warmup_steps": 2}
    given = PretrainSettings("nasbench201", input=str(folder / "cells.parquet"), **(shape | settings))
    return Pretraining(given, RunOptions(folder / "run"), Accelerator(cpu=True))


def batches_of(run: Pretraining) -> list[dict[str, np.ndarray]]:
    multiple = run.settings.length_multiple_of(run.config)
    return list(
        global_batches(run.settings, run.tokens, run.train_pairs, run.ranges, run.targets, 0, run.total_steps, multiple)
    )


SETTINGS = {
    "default": {},
    "accumulated and clipped": {"gradient_accumulation_steps": 2, "max_grad_norm": 1.0, "dropout": 0.1},
    "paper": {"preset": "paper"},
}


@pytest.mark.parametrize("run", SETTINGS.values(), ids=SETTINGS, indirect=True)
def test_a_step_reads_nothing_back(run):
    batch = batches_of(run)[0]
    run.wrapped.train()
    run._train_step(batch)  # the first makes the optimiser's state
    with Traffic() as traffic:
        loss = run._train_step(batch)
    assert loss.device.type == "meta"
    assert traffic.from_device == []
    # The batch and two counts; on the CPU nothing is made but these tensors around NumPy's arrays.
    assert traffic.to_device == len(batch) * run.settings.gradient_accumulation_steps + 2
    assert set(traffic.on_cpu) == {"lift_fresh"}


def test_what_is_counted_would_be_found():
    with Traffic() as traffic:
        values = torch.ones(3, device="meta")
        torch.zeros(2).to("meta")
        values[torch.zeros(3, dtype=torch.bool)]
    assert traffic.from_device == ["index"]
    assert traffic.to_device == 1
    assert traffic.on_cpu == ["zeros", "zeros"]
    with Traffic(), pytest.raises((RuntimeError, NotImplementedError)):
        values.sum().item()


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_an_epoch_is_one_graph(settings, tmp_path, monkeypatch):
    def shallow(*args):
        config = pretraining_config(*args)
        config.num_hidden_layers, config.num_cross_layers = 2, 2  # compiling takes its time for each layer
        return config

    monkeypatch.setattr("cate_hf.training.run.pretraining_config", shallow)
    run = make_run(tmp_path, **settings, length_multiple=0)
    graphs = []

    def count(graph, inputs):
        graphs.append(graph)
        return graph

    torch._dynamo.reset()
    run.wrapped = torch.compile(run.wrapped, fullgraph=True, backend=count, dynamic=False)
    run.wrapped.train()
    batches = batches_of(run)
    assert len(batches) > 3
    for batch in batches:
        loss = run._train_step(batch)
    assert loss.isfinite().all()
    assert len(graphs) == 1
    torch._dynamo.reset()
