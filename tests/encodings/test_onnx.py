import json

import numpy as np
import pytest

from cate_hf import ArchitectureTable, CateTokenizer, get_space, load_encoder
from cate_hf.encodings.onnx import exported
from cate_hf.hub.save import save_checkpoint
from tests.tiny import CELLS, save_tiny, tiny_model

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

SPACE = """
name: onnx-chain
operations: [conv, pool, skip]
nodes: [2, 40]
edges: [1, 60]
skeleton: chain
pool: 100
"""


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return load_encoder(save_tiny(tmp_path_factory.mktemp("onnx") / "tiny", statistics=["one", "two"], wiring_dim=24))


@pytest.fixture(scope="module")
def path(encoder, tmp_path_factory):
    return encoder.export_onnx(tmp_path_factory.mktemp("exported") / "encoder.onnx")


def test_the_file_gives_what_torch_gives(encoder, path):
    other = load_encoder(path, backend="onnx")
    cells = get_space("nasbench101").sample(300, seed=1)
    expected = encoder.encode(cells)
    for batch_size in (1024, 7, 1):
        np.testing.assert_allclose(other.encode(cells, batch_size), expected, atol=1e-5)
    np.testing.assert_allclose(
        other.encode(CELLS, parts=["wiring"]), encoder.encode(CELLS, parts=["wiring"]), atol=1e-5
    )
    np.testing.assert_allclose(other.encode(CELLS[0].to_dict()), encoder.encode(CELLS[0]), atol=1e-5)
    assert other.encode([]).shape == (0, encoder.dim)
    assert (other.backend, encoder.backend) == ("onnx", "torch")
    assert (other.space, other.dim, other.parts) == (encoder.space, encoder.dim, encoder.parts)
    assert other.fingerprint() != encoder.fingerprint()
    with pytest.raises(ValueError, match="row 0.*unknown operation"):
        other.encode([{"operations": ["input", "foo", "output"], "adjacency": [[0, 1, 0], [0, 0, 1], [0, 0, 0]]}])


def test_anybody_can_read_the_file(encoder, path):
    """Its inputs and output, by onnxruntime alone."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [entry.name for entry in session.get_inputs()] == ["input_ids", "attention_mask", "adjacency"]
    about = json.loads(session.get_modelmeta().custom_metadata_map["cate_hf"])
    assert about["config"]["operations"] == list(encoder.tokenizer.operations)
    (found,) = session.run(None, dict(CateTokenizer.from_config(encoder.model.config)(CELLS, return_tensors="np")))
    np.testing.assert_allclose(found, encoder.encode(CELLS), atol=1e-5)
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["encoder.onnx"]  # the weights are in it


@pytest.mark.long
def test_a_checkpoint_is_exported_once(encoder, tmp_path, monkeypatch):
    monkeypatch.setenv("CATE_HF_CACHE", str(tmp_path / "cache"))
    folder = save_tiny(tmp_path / "tiny")
    found = load_encoder(folder, backend="onnx").encode(CELLS)
    np.testing.assert_allclose(found, load_encoder(folder).encode(CELLS), atol=1e-5)
    (file,) = (tmp_path / "cache").iterdir()
    written = file.stat().st_mtime_ns
    assert exported(load_encoder(folder)) == file
    assert np.array_equal(load_encoder(folder, backend="onnx").encode(CELLS), found)
    assert file.stat().st_mtime_ns == written


@pytest.mark.long
def test_a_space_of_ones_own_goes_along(tmp_path):
    from cate_hf.spaces.custom.custom_space import CustomSpace

    space = CustomSpace.from_definition(SPACE)
    model = tiny_model(space)
    tokenizer, facts = CateTokenizer.from_config(model.config), {"space": space.name}
    folder = save_checkpoint(tmp_path / "own", model, tokenizer, facts, space_definition=space.definition())
    encoder = load_encoder(folder)
    other = load_encoder(encoder.export_onnx(tmp_path / "own.onnx"), backend="onnx")
    cells = space.sample(20, seed=0)
    assert isinstance(cells, ArchitectureTable)
    np.testing.assert_allclose(other.encode(cells), encoder.encode(cells), atol=1e-5)
    assert other.search_space.definition() == space.definition()


def test_what_is_refused(encoder, path, tmp_path):
    with pytest.raises(ValueError, match="expected the name of a file that ends in .onnx"):
        encoder.export_onnx(tmp_path / "encoder.bin")
    with pytest.raises(FileExistsError, match="exists already"):
        encoder.export_onnx(path)
    with pytest.raises(ValueError, match="no such file"):
        load_encoder(tmp_path / "none.onnx", backend="onnx")
    (tmp_path / "bad.onnx").write_bytes(b"not a graph")
    with pytest.raises(ValueError, match="not an encoder of `Encoder.export_onnx`") as caught:
        load_encoder(tmp_path / "bad.onnx", backend="onnx")
    assert str(caught.value).isprintable()
    with pytest.raises(ValueError, match="unknown backend 'onx'; did you mean 'onnx'"):
        load_encoder(path, backend="onx")
    with pytest.raises(ValueError, match="in float32, not in bfloat16"):
        load_encoder(path, backend="onnx", precision="bfloat16")
    with pytest.raises(ValueError, match="on the CPU, not on cuda"):
        load_encoder(path, backend="onnx", device="cuda")
    other = load_encoder(path, backend="onnx")
    with pytest.raises(ValueError, match="cannot be saved as a checkpoint"):
        other.save_pretrained(tmp_path / "saved")
    with pytest.raises(ValueError, match="is such a file; copy it"):
        other.export_onnx(tmp_path / "again.onnx")
