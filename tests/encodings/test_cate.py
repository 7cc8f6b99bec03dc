import numpy as np
import pytest

from cate_hf import Architecture, ArchitectureTable, get_space, load_encoder
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
