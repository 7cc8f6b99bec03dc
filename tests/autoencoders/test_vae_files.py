"""Folders of learned encodings: what is wrong with one is said in one line, and nothing is unpickled."""

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from cate_hf.autoencoders._arch2vec_model import Arch2VecConfig, Arch2VecModel
from cate_hf.autoencoders._dvae_model import DVaeConfig, DVaeModel
from cate_hf.autoencoders._files import table_digest, write_model
from cate_hf.autoencoders._graphs import GraphShape
from cate_hf.encodings import get_encoding
from tests.encodings.conftest import space_of

CONFIGS = {
    "arch2vec": (Arch2VecModel, Arch2VecConfig(hidden_size=8, latent_size=3)),
    "d-vae": (DVaeModel, DVaeConfig(hidden_size=8, latent_size=3, edge_size=8, vertex_ids=True)),
}


def write(folder: Path, kind: str, space: str = "nasbench101") -> Path:
    torch.manual_seed(0)
    model_class, config = CONFIGS[kind]
    folder.mkdir()
    model = model_class(config, GraphShape.of(space_of(space)))
    write_model(folder, kind, space_of(space), model, "0" * 16, {"seed": 3})
    return folder


@pytest.fixture(scope="module", params=list(CONFIGS))
def saved(request, tmp_path_factory):
    return write(tmp_path_factory.mktemp("saved") / "model", request.param), request.param


@pytest.fixture
def folder(saved, tmp_path):
    shutil.copytree(saved[0], tmp_path / "model")
    return tmp_path / "model"


def test_a_folder_is_an_encoding_by_its_path_and_by_its_kind(saved):
    folder, kind = saved
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "facts.json", "model.safetensors"]
    assert {oct(path.stat().st_mode & 0o777) for path in folder.iterdir()} == {
        oct(0o666 & ~_umask())
    }  # readable as other files are
    space = space_of("nasbench101")
    table = space.pool()[:300]
    for encoding in (
        get_encoding(folder, space),
        get_encoding(str(folder), "nasbench101"),
        get_encoding(kind, space, model=folder),
    ):
        assert encoding.kind == kind
        assert encoding.name == str(folder)
        assert encoding.facts == {"seed": 3}
        vectors = encoding.transform(table)
        assert vectors.shape == (300, encoding.dim) == (300, 3)
        assert vectors.dtype == np.float32
        assert encoding.fit(table) is encoding
        np.testing.assert_array_equal(encoding.transform(table), vectors)
        np.testing.assert_allclose(
            get_encoding(folder, space, batch_size=7).transform(table), vectors, atol=1e-5, rtol=1e-5
        )
        order = np.random.default_rng(0).permutation(300)
        np.testing.assert_allclose(encoding.transform(table[order]), vectors[order], atol=1e-5, rtol=1e-5)
        assert encoding.transform(table[:0]).shape == (0, 3)
        np.testing.assert_allclose(encoding.transform(list(table[:4])), vectors[:4], atol=1e-5, rtol=1e-5)


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value


def change(folder: Path, **fields) -> None:
    config = json.loads((folder / "config.json").read_text())
    for name, value in fields.items():
        target = config
        *parents, last = name.split("__")
        for parent in parents:
            target = target[parent]
        if value is None:
            del target[last]
        else:
            target[last] = value
    (folder / "config.json").write_text(json.dumps(config))


def reweigh(folder: Path, change_weights) -> None:
    weights = load_file(folder / "model.safetensors")
    change_weights(weights)
    save_file(weights, folder / "model.safetensors")


def truncate(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])


def pickled(folder: Path) -> None:
    class Harm:
        def __reduce__(self):
            return (Path.touch, (folder.parent / "harm",))

    (folder / "model.safetensors").write_bytes(pickle.dumps(Harm()))


WRONG = {
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "the weights are missing"),
    "truncated": (truncate, "damaged or truncated"),
    "a pickle": (pickled, "damaged or truncated"),
    "empty": (lambda f: (f / "model.safetensors").write_bytes(b""), "damaged or truncated"),
    "a tensor too few": (lambda f: reweigh(f, lambda w: w.pop("mean.bias")), "tensor 'mean.bias' is missing"),
    "a tensor too many": (lambda f: reweigh(f, lambda w: w.update(x=torch.ones(1))), "tensor 'x' is not of this model"),
    "a shape": (
        lambda f: reweigh(f, lambda w: w.update({"mean.bias": torch.ones(4)})),
        r"'mean.bias' has shape \[4\], expected \[3\]",
    ),
    "a type": (
        lambda f: reweigh(f, lambda w: w.update({"mean.bias": torch.ones(3, dtype=torch.int64)})),
        "'mean.bias' is of torch.int64",
    ),
    "not finite": (
        lambda f: reweigh(f, lambda w: w["mean.bias"].fill_(float("nan"))),
        "'mean.bias' has numbers that are not finite",
    ),
    "another size": (lambda f: change(f, model__hidden_size=9), "has shape"),
    "a huge size": (lambda f: change(f, model__hidden_size=10**12), "field 'hidden_size' of the model cannot be 10"),
    "a size that is no number": (lambda f: change(f, model__latent_size="3"), "'latent_size' of the model cannot be"),
    "a missing size": (lambda f: change(f, model__latent_size=None), "missing field 'latent_size'"),
    "an unknown field": (lambda f: change(f, model__depth=3), "unknown field 'depth'"),
    "negative": (lambda f: change(f, model__kl_weight=-1.0), "'kl_weight' of the model cannot be -1.0"),
    "a newer format": (lambda f: change(f, format_version=2), "format_version is 2"),
    "no model": (lambda f: change(f, model=None), "field 'model' must be an object"),
    "another space's name": (
        lambda f: change(f, space__name="mine"),
        "for another search space: its name is 'mine'",
    ),
    "other operations": (lambda f: change(f, space__vocabulary=["a", "b"]), "another search space: its vocabulary is"),
    "an unknown kind": (lambda f: change(f, encoding="path"), "unknown kind 'path'"),
    "no list": (lambda f: change(f, encoding=["d-vae"]), "unknown kind"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_one_line(folder, case):
    spoil, message = WRONG[case]
    spoil(folder)
    with pytest.raises(ValueError, match=message) as error:
        get_encoding(folder, "nasbench101")
    assert "\n" not in str(error.value)
    assert str(folder) in str(error.value)
    assert not (folder.parent / "harm").exists()


def test_a_folder_of_another_space_or_kind_is_refused(saved, tmp_path):
    folder, kind = saved
    with pytest.raises(ValueError, match="made for another search space: its name is 'nasbench101', not 'nasbench201'"):
        get_encoding(folder, "nasbench201")
    other = next(name for name in CONFIGS if name != kind)
    with pytest.raises(ValueError, match=f"an encoding of kind '{kind}', not '{other}'"):
        get_encoding(other, "nasbench101", model=folder)
    with pytest.raises(ValueError, match="no such folder"):
        get_encoding(kind, "nasbench101", model=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no config\.json"):
        get_encoding(kind, "nasbench101", model=tmp_path / "empty")


def test_digests_tell_tables_apart():
    table = space_of("nasbench101").pool()[1000:1100]
    assert table_digest(table) == table_digest(table.widen(9)) == table_digest(table.replace_columns({}))
    assert table_digest(table) != table_digest(table[::-1])
    assert table_digest(table) != table_digest(table[:99])
    assert table_digest(table[:0]) != table_digest(table[:1])


def test_an_architecture_of_another_space_is_refused_by_row(saved):
    encoding = get_encoding(saved[0], "nasbench101")
    foreign = space_of("nasbench201").pool()[:3]
    with pytest.raises(ValueError, match=r"architectures, row 0"):
        encoding.transform(foreign)
