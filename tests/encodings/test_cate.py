import numpy as np
import pytest
from scipy.stats import spearmanr

from cate_hf import Architecture, ArchitectureTable, get_space, load_encoder
from cate_hf.encodings import get_encoding
from cate_hf.hub._layout import checkpoint_names
from tests.tiny import CELLS, LARGE, PLAIN, save_tiny


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return load_encoder(save_tiny(tmp_path_factory.mktemp("encoder") / "tiny"))


def test_all_forms_of_input_give_the_same(encoder):
    encodings = encoder.encode(CELLS)
    assert encodings.shape == (3, encoder.dim)
    assert encodings.dtype == np.float32
    forms = {
        "table": ArchitectureTable.from_architectures(CELLS, get_space("nasbench101").vocabulary),
        "table of its own vocabulary": ArchitectureTable.from_architectures(CELLS),
        "dicts": [cell.to_dict() for cell in CELLS],
        "iterator": iter(CELLS),
    }
    for name, form in forms.items():
        np.testing.assert_allclose(encoder.encode(form), encodings, atol=1e-6, err_msg=name)
    for row, cell in enumerate(CELLS):
        np.testing.assert_allclose(encoder.encode(cell), encodings[row : row + 1], atol=1e-6)
        np.testing.assert_allclose(encoder.encode(cell.to_dict()), encodings[row : row + 1], atol=1e-6)
    assert encoder.encode([]).shape == (0, encoder.dim)


@pytest.mark.parametrize("batch_size", [1, 2, 7, 1000])
def test_rows_keep_their_order_in_batches_of_any_size(encoder, batch_size):
    cells = [CELLS[i % 3] for i in range(11)]
    expected = encoder.encode(CELLS)[[i % 3 for i in range(11)]]
    done = []
    np.testing.assert_allclose(encoder.encode(cells, batch_size, on_batch=done.append), expected, atol=1e-6)
    assert sum(done) == 11
    assert max(done) <= batch_size


def test_what_the_model_gives_is_what_is_encoded(encoder):
    import torch

    with torch.inference_mode():
        expected = encoder.model(**encoder.tokenizer([LARGE], return_tensors="pt")).pooler_output
    np.testing.assert_allclose(encoder.encode(LARGE), expected, atol=1e-6)
    assert encoder.space == "nasbench101"
    assert not encoder.model.training


def test_bfloat16_is_near_and_other_precisions_are_refused(encoder, tmp_path):
    folder = save_tiny(tmp_path / "tiny")
    exact, rounded = (load_encoder(folder, precision=name).encode(CELLS) for name in ("float32", "bfloat16"))
    assert rounded.dtype == np.float32
    assert 0 < np.abs(rounded - exact).max() < 0.05 * np.abs(exact).max()
    with pytest.raises(ValueError, match="unknown precision 'float64'; expected float32 or bfloat16"):
        load_encoder(folder, precision="float64")


def test_architectures_of_another_space_are_refused_by_row(encoder):
    foreign = Architecture(["input", "sep_conv_3x3", "output"], PLAIN.adjacency)
    for cells in ([*CELLS * 500, foreign], ArchitectureTable.from_architectures([*CELLS * 500, foreign])):
        with pytest.raises(ValueError, match=r"row 1500\b.*unknown operation 'sep_conv_3x3'"):
            encoder.encode(cells, batch_size=64)
    long = np.triu(np.ones((8, 8), int), 1)
    eight = Architecture(["input", *["maxpool3x3"] * 6, "output"], long)
    with pytest.raises(ValueError, match="row 3: 8 nodes"):
        encoder.encode([*CELLS, eight])
    with pytest.raises(ValueError, match=r"row 1: .*backward"):
        encoder.encode([PLAIN, {"operations": ["input", "output"], "adjacency": [[0, 0], [1, 0]]}])
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        encoder.encode(CELLS, batch_size=0)


@pytest.mark.parametrize("name", [name for name in checkpoint_names() if not name.endswith("-paper")])
def test_isomorphic_drawings_have_the_same_encoding_by_a_bundled_checkpoint(name):
    rng = np.random.default_rng(0)
    encoder = load_encoder(name)
    cells, drawings = [], []
    for cell in encoder.search_space.sample(150, seed=5):
        inputs = int((np.asarray(cell.adjacency).sum(axis=0) == 0).sum())  # of a mixed space each cell has its own
        order = other_order(np.asarray(cell.adjacency), inputs, rng)
        cells.append(cell)
        drawings.append(
            Architecture([cell.operations[i] for i in order], np.asarray(cell.adjacency)[np.ix_(order, order)])
        )
    assert any(a.operations != b.operations for a, b in zip(cells, drawings, strict=True))
    np.testing.assert_allclose(encoder.encode(drawings), encoder.encode(cells), atol=1e-5)


def other_order(adjacency, inputs, rng):
    """Another topological order of a graph's nodes, the inputs first and the output last as they are."""
    left, order = set(range(inputs, len(adjacency) - 1)), list(range(inputs))
    while left:
        ready = sorted(n for n in left if not any(adjacency[m, n] for m in left))
        order.append(ready[rng.integers(len(ready))])
        left.remove(order[-1])
    return [*order, len(adjacency) - 1]


@pytest.mark.skipif("mixed" not in checkpoint_names(), reason="no encoder of several spaces is bundled")
def test_one_encoder_by_name_for_cells_of_each_of_its_spaces():
    encoder = load_encoder("mixed")
    assert encoder.dim == 124
    tables = {name: get_space(name).sample(20, seed=2) for name in ("nasbench101", "nasbench201", "darts")}
    assert encoder.space == "+".join(tables)
    together = encoder.encode([cell for table in tables.values() for cell in table])
    for number, (name, table) in enumerate(tables.items()):
        alone = encoder.encode(table)
        np.testing.assert_allclose(together[20 * number :][:20], alone, atol=1e-5)
        np.testing.assert_allclose(get_encoding("mixed", name).transform(table), alone, atol=1e-5)
        # The encoding is what the model predicts of the cell's statistics: standardised costs among them.
        column = encoder.model.config.statistics.index("log_cost:parameters")
        parameters = get_space(name).costs(table, "parameters")
        assert spearmanr(alone[:, column], parameters)[0] > 0.9
    foreign = Architecture(["input", "conv5x5", "output"], PLAIN.adjacency)
    with pytest.raises(ValueError, match="unknown operation 'conv5x5'"):
        encoder.encode([foreign])


def test_parts_of_an_encoding_stand_side_by_side_in_the_order_asked_for(tmp_path):
    folder = save_tiny(tmp_path / "tiny", statistics=["one", "two"], learnt_in_encoding=True, wiring_dim=24)
    encoder = load_encoder(folder)
    assert {name: part.stop - part.start for name, part in encoder.parts.items()} == {
        "learned": 16,
        "computation": 2,
        "wiring": 24,
    }
    whole = encoder.encode(CELLS)
    assert whole.shape == (3, encoder.dim) == (3, 42)
    assert np.array_equal(encoder.encode(CELLS, parts=["wiring", "learned"]), np.hstack([whole[:, 18:], whole[:, :16]]))
    with pytest.raises(ValueError, match="unknown part of an encoding 'wirings'.*wiring"):
        encoder.encode(CELLS, parts=["wirings"])


def test_without_native_bfloat16_it_is_float32_and_says_so_once(tmp_path, monkeypatch):
    import cate_hf.encodings.cate

    folder = save_tiny(tmp_path / "tiny")
    monkeypatch.setattr(cate_hf.encodings.cate, "has_bfloat16", lambda device_type: False)
    with pytest.warns(UserWarning, match="bfloat16 is slower than float32 on this processor") as caught:
        encoder = load_encoder(folder, device="cpu", precision="bfloat16")
    assert len(caught) == 1
    assert encoder.precision == "float32"
    np.testing.assert_array_equal(encoder.encode(CELLS), load_encoder(folder, device="cpu").encode(CELLS))
    monkeypatch.setattr(cate_hf.encodings.cate, "has_bfloat16", lambda device_type: True)
    assert load_encoder(folder, device="cpu", precision="bfloat16").precision == "bfloat16"


def test_native_bfloat16_is_read_off_the_processor(monkeypatch):
    import torch

    from cate_hf.core._precision import has_bfloat16

    for capabilities, expected in [
        ({"avx512_f": True, "avx512_bf16": True, "amx_bf16": False}, True),
        ({"avx512_f": True, "avx512_bf16": False, "l1d_cache_size": 49152}, False),
        ({"bf16": True, "architecture": "aarch64"}, True),
    ]:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capabilities: found, raising=False)
        assert has_bfloat16("cpu") is expected
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    assert not has_bfloat16("cpu")
