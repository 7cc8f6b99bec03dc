"""How processes are launched: the given configurations, and launches that are not what was asked for."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from accelerate import DistributedType
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file

from cate_hf.core._launching import (
    check_launch,
    check_sharding,
    check_tracker,
    main_process_first,
    on_main_process,
)

CONFIGS = sorted((Path(__file__).parents[2] / "accelerate_configs").glob("*.yaml"))
VARIABLES = (
    "WORLD_SIZE",
    "RANK",
    "MASTER_ADDR",
    "ACCELERATE_USE_CPU",
    "ACCELERATE_USE_FSDP",
    "ACCELERATE_USE_DEEPSPEED",
    "ACCELERATE_USE_MEGATRON_LM",
)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configurations_are_accelerates(path):
    config = load_config_from_file(str(path))  # refuses keys that it does not know
    assert isinstance(config, ClusterConfig)
    assert config.num_processes >= 1
    assert config.num_processes % config.num_machines == 0
    expected = {"gpu": DistributedType.NO, "tpu": DistributedType.XLA}
    assert config.distributed_type == expected.get(path.stem, DistributedType.MULTI_GPU)
    assert not config.use_cpu  # with it the launcher starts one process


def test_there_are_configurations():
    assert {"cpu_ddp", "ddp", "ddp_two_machines", "gpu", "tpu"} == {path.stem for path in CONFIGS}


def launched(monkeypatch, kind, processes, **environment):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    device = SimpleNamespace(type="cpu")
    return SimpleNamespace(distributed_type=kind, num_processes=processes, is_main_process=True, device=device)


def test_launches_that_are_what_they_seem(monkeypatch, capsys):
    check_launch(launched(monkeypatch, DistributedType.NO, 1))
    check_launch(launched(monkeypatch, DistributedType.NO, 1, ACCELERATE_USE_CPU="true"))
    check_launch(launched(monkeypatch, DistributedType.MULTI_CPU, 2, WORLD_SIZE="2", RANK="0", MASTER_ADDR="127.0.0.1"))
    assert capsys.readouterr().err == ""


def test_launches_that_are_not(monkeypatch, capsys):
    with pytest.raises(ValueError, match="each is on its own"):
        check_launch(launched(monkeypatch, DistributedType.NO, 1, WORLD_SIZE="2"))
    check_launch(launched(monkeypatch, DistributedType.NO, 1, MASTER_ADDR="127.0.0.1", ACCELERATE_USE_CPU="True"))
    assert "this is one process" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["FSDP", "DEEPSPEED", "MEGATRON_LM"])
def test_sharded_weights_are_refused(monkeypatch, name):
    launched(monkeypatch, DistributedType.NO, 2)
    check_sharding()
    monkeypatch.setenv(f"ACCELERATE_USE_{name}", "true")
    with pytest.raises(ValueError, match=f"{name} is not supported.*ddp.yaml"):
        check_sharding()


def test_a_tracker_that_is_not_installed(monkeypatch):
    check_tracker(None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install wandb"):
        check_tracker("wandb")


def test_the_main_process_goes_first():
    from accelerate import Accelerator

    accelerator, calls = Accelerator(cpu=True), []
    assert main_process_first(accelerator, lambda: calls.append(1) or "made") == "made"
    assert calls == [1]
    with pytest.raises(OSError, match="no room"):
        on_main_process(accelerator, lambda: (_ for _ in ()).throw(OSError("no room")))
