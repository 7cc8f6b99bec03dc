"""What Accelerate's trackers have of a run that was killed and resumed."""

import pytest

from tests.training.killing import finish, kill_all, launch, logged_lines, losses, states, wait_until

OPTIONS = ("--batch-size", "32", "--statistics-batch-size", "8", "--max-steps", "9", "--save-every", "3")


def scalars(folder):
    """(step, value) of each loss, as TensorBoard shows them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars("loss")]


def test_tensorboard_goes_on_after_a_kill_and_one_process_writes(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    output, options = tmp_path / "run", (*OPTIONS, "--log-with", "tensorboard")
    process = launch(output, *options, processes=2)
    # Steps after the state are logged too, which the resumed run logs again.
    assert wait_until(lambda: states(output) and logged_lines(output) >= 6, process)
    kill_all(process)
    code, error = finish(launch(output, *options, "--resume", processes=2))
    assert code == 0, error[-3000:]
    folder = output / "cate_pretraining"
    assert len(list(folder.glob("events.*"))) == 2  # one a start
    found = scalars(folder)
    assert [step for step, _ in found] == list(range(1, 10))
    assert dict(found) == pytest.approx(losses(output))
    assert (output / "model.safetensors").is_file()
    code, error = finish(launch(output, *options, "--overwrite"))
    assert code == 0, error[-3000:]
    assert len(list(folder.glob("events.*"))) == 1


def test_one_that_cannot_be_opened_is_one_line(tmp_path, monkeypatch):
    from types import SimpleNamespace

    from cate_hf.training._trackers import open_trackers
    from cate_hf.training.settings import PretrainSettings

    def closed(*arguments, **options):
        raise RuntimeError("api key missing\nmore")

    accelerator = SimpleNamespace(log_with=["wandb"], is_main_process=True, init_trackers=closed)
    with pytest.raises(ValueError, match=r"--log-with wandb: it cannot be opened: api key missing$"):
        open_trackers(accelerator, PretrainSettings(), tmp_path, tmp_path, 0)
