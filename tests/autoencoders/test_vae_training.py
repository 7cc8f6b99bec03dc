"""Training of D-VAE and arch2vec: what it learns, interrupted and resumed to the bit, and the cache of `fit`."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cate_hf.autoencoders import _base as vae_base
from cate_hf.autoencoders import _figures as vae_figures
from cate_hf.autoencoders import settings as encoding_settings
from cate_hf.autoencoders.settings import RECIPES, EncodingSettings
from cate_hf.autoencoders.training import EncodingTraining, train_to_folder
from cate_hf.commands._pretraining import figures_table
from cate_hf.core._interruption import Interrupted
from cate_hf.encodings import get_encoding
from tests.encodings.conftest import TINY, space_of

KINDS = ("arch2vec", "d-vae")
SMALL = {
    "arch2vec": {"hidden_size": 64, "dropout": 0.0},
    "d-vae": {"hidden_size": 32, "edge_size": 32, "latent_size": 16},
}


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Small models, figures of few samples, and a cache folder of the test's own."""
    for kind, sizes in SMALL.items():
        recipe = replace(RECIPES[kind]["default"], model=sizes, batch_size=32, learning_rate=7e-3)
        monkeypatch.setitem(encoding_settings.RECIPES, kind, RECIPES[kind] | {"default": recipe})
    monkeypatch.setattr(vae_figures, "measure", partial(vae_figures.measure, points=20))
    monkeypatch.setattr(vae_base, "cache_folder", lambda: tmp_path / "cache")


def weights(folder):
    return load_file(folder / "model.safetensors")


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_trained_long_enough_comes_back(kind, small, tmp_path):
    """Few cells, learned by heart: the loss, the decoder and the figures agree on them."""
    space = space_of("nasbench201")
    table = space.pool()[::200]
    settings = EncodingSettings(kind, space.name, max_steps={"arch2vec": 600, "d-vae": 250}[kind])
    run = EncodingTraining(settings, space, table, tmp_path / "run", "cpu")
    run.train_rows = np.arange(len(table))
    run.run()
    facts = run.save()
    figures = vae_figures.reconstruction(run.model, space, table, "cpu")
    assert figures["exact"] > 0.9
    assert figures["isomorphic"] >= figures["exact"]
    assert figures["elements" if kind == "arch2vec" else "sampled"] > 0.75
    for name in ("standard", "training_range"):
        assert 0 <= facts["measured"]["prior"][name]["validity"] <= 1
        assert 0 <= facts["measured"]["prior"][name]["uniqueness"] <= 1
    view = figures_table(kind, space.name, facts["measured"], tuple(facts["published"]))
    assert view.row_count == 5 + len(facts["published"])
    assert json.loads((tmp_path / "run" / "facts.json").read_text()) == json.loads(json.dumps(facts))
    encoding = get_encoding(tmp_path / "run", space)
    assert len(np.unique(encoding.transform(table).round(4), axis=0)) == len(table)


@pytest.mark.long
def test_the_figures_are_those_of_decoding_one_by_one(small, tmp_path):
    from cate_hf.autoencoders._graphs import GraphBatch

    for kind in KINDS:
        space = space_of("nasbench201")
        table = space.pool()
        run = EncodingTraining(
            EncodingSettings(kind, space.name, max_steps=60), space, table[::50], tmp_path / kind, "cpu"
        )
        run.run()
        part, model = table[::50][:170], run.model
        figures = vae_figures.reconstruction(model, space, part, "cpu")
        exact = 0
        with torch.inference_mode():
            for row in range(len(part)):
                graphs = GraphBatch.from_table(part[row : row + 1], model.shape)
                exact += bool(graphs.same_as(model.decode(model.latent_mean(graphs))))
        assert figures["exact"] == pytest.approx(exact / 170, abs=0.013)  # rounding may turn a close choice
        assert figures["architectures"] == 170
        first, again = (
            vae_figures.prior(model, space, table[:200], "cpu", seed=4, points=100, decodings=2) for _ in range(2)
        )
        assert first == again
        assert first["decodings"] == 200


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_run_resumes_to_the_same_weights(kind, small, tmp_path):
    space = space_of("nasbench201")
    table = space.pool()

    def training(folder, **settings):
        chosen = EncodingSettings(kind, space.name, **({"max_steps": 11, "seed": 3} | settings))
        return EncodingTraining(chosen, space, table, folder, "cpu")

    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    whole = training(tmp_path / "whole")
    whole.run()
    whole.save(measure=False)
    assert torch.equal(torch.random.get_rng_state(), before)  # the caller's random numbers are left alone

    for stop in (1, 4, 10):
        folder = tmp_path / f"stopped-{stop}"
        run = training(folder)
        step = run._train_step

        def stopping(run=run, step=step, stop=stop):
            run.stop.made = run.step + 1 == stop
            return step()

        run._train_step = stopping
        with pytest.raises(Interrupted):
            run.run(save_every=100)
        assert not (folder / "config.json").exists()
        torch.manual_seed(stop)
        resumed = training(folder)
        resumed.resume()
        assert resumed.step == stop
        resumed.run()
        resumed.save(measure=False)
        assert same(weights(folder), weights(tmp_path / "whole"))
        with pytest.raises(ValueError, match="seed is 4 here and 3 there"):
            training(folder, seed=4).resume()
    other = EncodingTraining(
        EncodingSettings(kind, space.name, max_steps=11, seed=3), space, table[:5000], tmp_path / "stopped-4", "cpu"
    )
    with pytest.raises(ValueError, match="architectures is '[0-9a-f]+' here and"):
        other.resume()
    with pytest.raises(ValueError, match="nothing to resume"):
        training(tmp_path / "nowhere").resume()


def test_batches_are_a_function_of_seed_and_step(small, tmp_path):
    space = space_of("nasbench201")
    table = space.pool()
    settings = EncodingSettings("arch2vec", space.name, max_steps=5, seed=2, train_size=101)
    run = EncodingTraining(settings, space, table, tmp_path, "cpu")
    assert len(run.train_rows) == 101
    assert len(run.held_out_rows) == len(table) // 10
    assert not set(run.train_rows) & set(run.held_out_rows)
    epochs = [np.concatenate([run.rows_of(step) for step in range(3 * e, 3 * e + 3)]) for e in range(2)]
    for rows in epochs:
        assert len(rows) == len(set(rows)) == 96
        assert set(rows) <= set(run.train_rows)
    assert epochs[0].tolist() != epochs[1].tolist()
    assert run.rows_of(1).tolist() == epochs[0][32:64].tolist()


RUN = """
import sys
from functools import partial
from cate_hf.autoencoders import _figures as vae_figures
from cate_hf.autoencoders.training import train_to_folder
from cate_hf.commands._pretraining import figures_table
from cate_hf.core._interruption import Interrupted
vae_figures.measure = partial(vae_figures.measure, points=20)
try:
    train_to_folder(sys.argv[1], sys.argv[2], sys.argv[3], resume="--resume" in sys.argv, save_every=3,
                    max_steps=int(sys.argv[4]), batch_size=8, seed=1)
except Interrupted as stopped:
    print(stopped, file=sys.stderr)
    sys.exit(130)
"""


def start(kind, space, folder, steps, *options):
    return subprocess.Popen(
        [sys.executable, "-c", RUN, kind, str(space), str(folder), str(steps), *options],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def stop_at(process, state, number):
    deadline = time.time() + 120
    while not state.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.time() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    _, error = process.communicate(timeout=120)
    return process.returncode, error


@pytest.mark.long
def test_kill_9_and_ctrl_c_then_resume_give_the_weights_of_an_uninterrupted_run(tmp_path):
    space = tmp_path / "tiny.yaml"
    space.write_text(TINY)
    whole = start("d-vae", space, tmp_path / "whole", 60)
    killed = start("d-vae", space, tmp_path / "killed", 60)
    code, _ = stop_at(killed, tmp_path / "killed" / "training" / "step-00000006", signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert not (tmp_path / "killed" / "config.json").exists()
    assert whole.wait(timeout=120) == 0, whole.stderr.read()
    for number, expected in ((signal.SIGINT, 130), (None, 0)):
        process = start("d-vae", space, tmp_path / "killed", 60, "--resume")
        if number is None:
            assert process.wait(timeout=120) == expected, process.stderr.read()
        else:
            code, error = stop_at(process, tmp_path / "killed" / "training" / "step-00000012", number)
            assert code in (expected, 0)  # 0 where it came after the last step
            assert "Traceback" not in error
            assert code == 0 or "continue with --resume" in error
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "killed"))


def test_fit_keeps_its_model_and_trains_anew_on_other_architectures(small, tmp_path, monkeypatch):
    space = space_of("tiny")
    table = space.pool()
    encoding = get_encoding("arch2vec", space, max_steps=20)
    assert encoding.learned
    assert encoding.dim == 16
    with pytest.raises(ValueError, match="no model for encodings-tiny yet: train one by fit"):
        encoding.transform(table)
    assert encoding.fit(table) is encoding
    vectors = encoding.transform(table)
    assert vectors.shape == (len(table), 16)
    assert encoding.facts["steps"] == 20
    folders = [path for path in (tmp_path / "cache" / "encodings").iterdir() if path.is_dir()]
    assert len(folders) == 1
    assert not (folders[0] / "training").exists()

    trained, run = [], EncodingTraining.run
    monkeypatch.setattr(EncodingTraining, "run", lambda self, **_: trained.append(self))
    again = get_encoding("arch2vec", space, max_steps=20)
    np.testing.assert_array_equal(again.transform(table), vectors)  # found without fit
    np.testing.assert_array_equal(get_encoding("arch2vec", space, max_steps=20).fit(table).transform(table), vectors)
    assert not trained
    monkeypatch.setattr(EncodingTraining, "run", run)

    other = get_encoding("arch2vec", space, max_steps=20).fit(table[: len(table) // 2])
    assert not np.array_equal(other.transform(table), vectors)
    assert not np.array_equal(
        get_encoding("arch2vec", space, max_steps=20, seed=1).fit(table).transform(table), vectors
    )
    (folders[0] / "model.safetensors").write_bytes(b"damaged")
    again = get_encoding("arch2vec", space, max_steps=20).fit(table)
    assert again.facts["steps"] == 20
    with pytest.raises(ValueError, match="no architecture to learn from"):
        get_encoding("arch2vec", space).fit(table[:0])


def test_fit_works_without_a_cache_folder_and_goes_on_where_it_was_interrupted(small, tmp_path, monkeypatch):
    space = space_of("tiny")
    table = space.pool()
    run, step = EncodingTraining.run, EncodingTraining._train_step

    def stopping(self):
        self.stop.made = self.step == 7
        return step(self)

    monkeypatch.setattr(EncodingTraining, "_train_step", stopping)
    encoding = get_encoding("d-vae", space, max_steps=30)
    with pytest.raises(KeyboardInterrupt):
        encoding.fit(table)
    monkeypatch.setattr(EncodingTraining, "_train_step", step)
    begun = []
    monkeypatch.setattr(EncodingTraining, "run", lambda self, **_: (begun.append(self.step), run(self)))
    vectors = encoding.fit(table).transform(table)
    assert begun == [8]
    monkeypatch.setattr(vae_base, "cache_folder", lambda: tmp_path / "another")
    np.testing.assert_array_equal(get_encoding("d-vae", space, max_steps=30).fit(table).transform(table), vectors)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(EncodingTraining, "run", run)
    monkeypatch.setattr(vae_base, "cache_folder", lambda: tmp_path / "file")
    assert get_encoding("d-vae", space, max_steps=3).fit(table).facts["steps"] == 3


@pytest.mark.long
@pytest.mark.parametrize("name", ["two-inputs", "chain", "darts"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_space_can_be_learned(kind, name, small, tmp_path):
    space = space_of(name)
    table = space.pool()[:300]
    encoding = get_encoding(kind, space, max_steps=3).fit(table)
    vectors = encoding.transform(table)
    assert vectors.shape == (300, encoding.dim)
    assert np.isfinite(vectors).all()
    assert encoding.facts["measured"]["reconstruction"]["architectures"] == 30


def test_the_command_shows_its_figures_beside_the_published_ones(small, tmp_path, capsys):
    from cate_hf.cli import main

    space = tmp_path / "tiny.yaml"
    space.write_text(TINY)
    command = ["pretrain-encoding", "--space", str(space), "--output-dir", str(tmp_path / "run"), "--max-steps", "3"]
    assert main([*command, "--name", "arch2vec"]) == 0
    shown = capsys.readouterr().out
    for text in ("exact, from the mean", "prior N(0, I)", "3 steps of 22"):
        assert text in shown
    assert main([*command, "--name", "arch2vec"]) == 2
    assert capsys.readouterr().err.strip().endswith("replace it with --overwrite")
    assert main([*command, "--name", "d-vae", "--overwrite", "--device", "cpu"]) == 0
    assert "37.26" in capsys.readouterr().out
    assert get_encoding(tmp_path / "run", str(space)).kind == "d-vae"
    assert main([*command, "--name", "vae", "--overwrite"]) == 2
    assert capsys.readouterr().err == "cate: encoding must be one of arch2vec, d-vae, not 'vae'\n"
    assert get_encoding(tmp_path / "run", str(space)).facts["steps"] == 3


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"name": "path"}, ValueError, "encoding must be one of arch2vec, d-vae, not 'path'"),
        ({"space": "nasbench102"}, ValueError, "nasbench101"),
        ({"preset": "best"}, ValueError, "preset must be one of default, paper"),
        ({"max_steps": 0}, ValueError, "max_steps must be at least 1"),
        ({"epochs": 0.0}, ValueError, "epochs must be above 0"),
        ({"batch_size": -1}, ValueError, "batch_size must be at least 1"),
        ({"seed": -1}, ValueError, "seed must be 0 or more"),
        ({"depth": 3}, ValueError, "unknown setting 'depth'"),
        ({"resume": True}, ValueError, "nothing to resume"),
        ({"resume": True, "overwrite": True}, ValueError, "exclude each other"),
    ],
)
def test_bad_input_leaves_nothing_behind(options, error, message, tmp_path):
    arguments = {"name": "arch2vec", "space": "nasbench201", "output_dir": tmp_path / "run"} | options
    with pytest.raises(error, match=message):
        train_to_folder(**arguments)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_holds_something_is_kept_unless_it_is_to_be_overwritten(small, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    arguments = ("arch2vec", "nasbench201", tmp_path / "run")
    with pytest.raises(FileExistsError, match="is not empty; continue with --resume, or replace it with --overwrite"):
        train_to_folder(*arguments, max_steps=2)
    with pytest.raises(ValueError, match="max_steps"):
        train_to_folder(*arguments, max_steps=0, overwrite=True)
    with pytest.raises(FileExistsError, match=r"holds 'notes.txt', which is not of such an output"):
        train_to_folder(*arguments, max_steps=2, overwrite=True)
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"
    (tmp_path / "run" / "notes.txt").rename(tmp_path / "run" / "facts.json")
    train_to_folder(*arguments, max_steps=2, overwrite=True)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "config.json",
        "facts.json",
        "model.safetensors",
        "training",
    ]
    with pytest.raises(FileExistsError, match="is a file"):
        train_to_folder("arch2vec", "nasbench201", tmp_path / "run" / "config.json")


def test_the_schedule_of_the_default_falls_to_zero_and_the_papers_stays():
    settings = EncodingSettings("arch2vec", "nasbench101", max_steps=1000)
    rates = [settings.learning_rate_at(step, 1000) for step in range(1000)]
    top = settings.recipe.learning_rate
    assert max(rates) == pytest.approx(top)
    assert rates[0] == pytest.approx(top / 50)
    assert 0 < rates[-1] < top / 900
    paper = EncodingSettings("d-vae", "nasbench101", preset="paper")
    assert {paper.learning_rate_at(step, 1000) for step in (0, 500, 999)} == {1e-4}
    assert paper.steps(3200) == 300 * 100
    assert EncodingSettings("d-vae", "nasbench101", epochs=2, batch_size=10).steps(105) == 20
    assert paper.model_config().hidden_size == 501
