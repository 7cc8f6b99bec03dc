"""What users of embeddings expect of an encoder."""

import numpy as np
import pandas as pd
import pytest
import torch

from cate_hf import Architecture, get_space, load_encoder
from tests.tiny import CELLS, save_tiny


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return load_encoder(save_tiny(tmp_path_factory.mktemp("vectors") / "tiny"))


def cosine(a, b):
    return np.array([[x @ y / np.linalg.norm(x) / np.linalg.norm(y) for y in b] for x in a])


def minus_distance(a, b):
    return -np.array([[np.linalg.norm(x - y) for y in b] for x in a])


@pytest.mark.parametrize(("metric", "expected"), [("cosine", cosine), ("euclidean", minus_distance)])
def test_similarity(encoder, metric, expected):
    cells = get_space("nasbench101").sample(40, seed=0)
    a, b = encoder.encode(cells[:30]), encoder.encode(cells[30:])
    table = expected(a.astype(np.float64), b.astype(np.float64))
    np.testing.assert_allclose(encoder.similarity(a, b, metric), table, atol=1e-5)
    np.testing.assert_allclose(encoder.similarity(cells[:30], cells[30:], metric), table, atol=1e-5)
    np.testing.assert_allclose(encoder.similarity_pairwise(a[:10], b, metric), np.diag(table[:10]), atol=1e-5)
    np.testing.assert_allclose(encoder.similarity(a[0], b, metric), table[:1], atol=1e-5)
    tensor = encoder.similarity(torch.from_numpy(a), torch.from_numpy(b), metric)
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_allclose(tensor, table, atol=1e-5)
    of_itself = encoder.similarity(a, metric=metric)
    assert of_itself.dtype == np.float32
    np.testing.assert_allclose(np.diag(of_itself), 1 if metric == "cosine" else 0, atol=1e-5)


def test_euclidean_is_the_default_and_others_are_named(encoder):
    a = encoder.encode(CELLS)
    np.testing.assert_array_equal(encoder.similarity(a), encoder.similarity(a, metric="euclidean"))
    with pytest.raises(ValueError, match="unknown metric 'cosin'; did you mean 'cosine'"):
        encoder.similarity(a, metric="cosin")
    with pytest.raises(ValueError, match="3 rows and 2"):
        encoder.similarity_pairwise(a, a[:2])
    with pytest.raises(ValueError, match=f"vectors of {encoder.dim} numbers and of 5"):
        encoder.similarity(a, np.zeros((2, 5), np.float32))


@pytest.mark.parametrize("name", ["tiny", "universal"])
def test_tensors_and_lengths(encoder, name):
    chosen = encoder if name == "tiny" else load_encoder("universal")
    plain = chosen.encode(CELLS)
    tensor = chosen.encode(CELLS, convert_to_tensor=True)
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_array_equal(tensor, plain)
    scaled = chosen.encode(CELLS, normalize=True)
    np.testing.assert_allclose(np.linalg.norm(scaled, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(scaled * np.linalg.norm(plain, axis=1, keepdims=True), plain, atol=1e-5)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(chosen.similarity(CELLS, metric="cosine"), scaled @ scaled.T, atol=1e-5)


@pytest.mark.parametrize("name", ["tiny", "universal"])
def test_neighbours(encoder, name):
    chosen = encoder if name == "tiny" else load_encoder("universal")
    table = get_space("nasbench101").sample(200, seed=3)
    query = table[17]
    other = Architecture(query.operations, query.adjacency)
    expected = np.linalg.norm(chosen.encode(table) - chosen.encode(query), axis=1)
    alike = [i for i in range(len(table)) if table[i].is_isomorphic(query)]
    rows = [i for i in np.argsort(expected, kind="stable") if i not in alike][:5]
    for given in (query, other, query.to_dict()):
        found = chosen.neighbours(given, table, 5)
        np.testing.assert_allclose(found.columns["distance"], expected[rows], atol=1e-4)
        assert found.columns["hash"].tolist() == table.columns["hash"][rows].tolist()
    again = chosen.neighbours(query, table, 5, encodings=chosen.encode(table))
    np.testing.assert_allclose(again.columns["distance"], found.columns["distance"], atol=1e-4)
    twice = chosen.neighbours(query, [query, query, query, *list(table)], 5)  # itself is left out however often
    np.testing.assert_allclose(twice.columns["distance"], found.columns["distance"], atol=1e-4)
    assert len(chosen.neighbours(query, table[:3], 50)) == 3
    with pytest.raises(ValueError, match="one architecture, not 3"):
        chosen.neighbours(CELLS, table)


def test_encode_table(encoder):
    frame = pd.DataFrame(
        [cell.to_dict() | {"accuracy": 0.9 + i / 100} for i, cell in enumerate(CELLS)], index=[5, 3, 9]
    )
    found = encoder.encode_table(frame)
    assert found.columns.tolist() == [*frame.columns, "encoding"]
    assert found.index.tolist() == [5, 3, 9]
    assert found["accuracy"].tolist() == frame["accuracy"].tolist()
    np.testing.assert_array_equal(np.stack(found["encoding"]), encoder.encode(CELLS))
    assert "encoding" not in frame
    normal = encoder.encode_table(frame, column="vector", normalize=True)
    np.testing.assert_allclose(np.linalg.norm(np.stack(normal["vector"]), axis=1), 1, atol=1e-6)
    with pytest.raises(ValueError, match="it has 'operations', 'accuracy'"):
        encoder.encode_table(frame.drop(columns="adjacency"))


@pytest.mark.parametrize("name", ["tiny", "universal"])
def test_neighbours_take_what_encode_takes(encoder, name):
    chosen = encoder if name == "tiny" else load_encoder("universal")
    cells = get_space("nasbench101").sample(30, seed=3)
    frame = pd.DataFrame([cell.to_dict() | {"accuracy": i / 30} for i, cell in enumerate(cells)])
    expected = chosen.neighbours(cells[4], cells, 5)
    rows = [cells.columns["hash"].tolist().index(h) for h in expected.columns["hash"]]
    for query in (frame[4:5], [cells[4]], frame.iloc[4].to_dict()):
        found = chosen.neighbours(query, frame, 5)
        np.testing.assert_allclose(found.columns["accuracy"], np.array(rows) / 30)
        np.testing.assert_allclose(found.columns["distance"], expected.columns["distance"], atol=1e-4)


def test_save_pretrained(encoder, tmp_path):
    folder = encoder.save_pretrained(tmp_path / "saved")
    np.testing.assert_array_equal(load_encoder(folder).encode(CELLS), encoder.encode(CELLS))
    assert {"README.md", "config.json", "model.safetensors", "modeling_cate.py"} <= {p.name for p in folder.iterdir()}
    with pytest.raises(FileExistsError):
        encoder.save_pretrained(folder)
    encoder.save_pretrained(folder, overwrite=True)
