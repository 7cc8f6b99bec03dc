import pytest
import torch

from cate_hf.cli import main


@pytest.mark.parametrize(
    "device",
    [
        "nowhere",
        "cpu:x",
        "",
        pytest.param("cuda", marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")),
    ],
)
def test_a_device_that_is_not_there_is_told_before_anything_is_replaced(tmp_path, capsys, device):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    command = ["pretrain-encoding", "--name", "arch2vec", "--space", "nasbench201", "--overwrite"]
    assert main([*command, "--device", device, "--output-dir", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"cate: device {device!r} cannot be used here; expected one such as cpu or cuda")
    assert error.count("\n") == 1
    assert (tmp_path / "run" / "config.json").read_text() == "{}"
