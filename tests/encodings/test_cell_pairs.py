"""Tables of normal and reduction cells, encoded: both encodings side by side."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cate_hf import get_space, load_encoder
from cate_hf.benchmarks.importing import import_results
from cate_hf.cli import main
from cate_hf.encodings.files import encode_to_parquet
from cate_hf.spaces.darts.genotypes import CellPair


@pytest.fixture(scope="module")
def genotypes(tmp_path_factory):
    """A file as `cate import` writes it, and its pairs."""
    darts, folder = get_space("darts"), tmp_path_factory.mktemp("pairs")
    cells = darts.sample(12, seed=3)
    pairs = [CellPair(cells[row], cells[row + 6]) for row in range(6)]
    (folder / "genotypes.txt").write_text("\n".join(darts.native(pair) for pair in pairs))
    import_results(folder / "genotypes.txt", folder / "pairs.parquet")
    return folder / "pairs.parquet", pairs


@pytest.mark.parametrize("model", ["darts", "mixed"])
def test_both_encodings_stand_side_by_side(genotypes, tmp_path, model):
    path, pairs = genotypes
    encoder = load_encoder(model)
    assert encode_to_parquet(model, tmp_path / "e.parquet", input=path) == (6, 2 * encoder.dim)
    found, given = pq.read_table(tmp_path / "e.parquet"), pq.read_table(path)
    expected = np.hstack([encoder.encode([getattr(p, kind) for p in pairs]) for kind in ("normal", "reduction")])
    np.testing.assert_allclose(np.stack(found["encoding"].to_numpy()), expected, atol=1e-5)
    assert [*found.column_names] == ["hash", "encoding", *(name for name in given.column_names if name != "hash")]
    assert found.drop_columns(["encoding"]).select(given.column_names).to_pydict() == given.to_pydict()
    assert found["hash"].to_pylist() == [get_space("darts").hash(pair) for pair in pairs]


def test_by_the_command_line(genotypes, tmp_path, capsys):
    path, _ = genotypes
    encode = ["encode", "--input", str(path), "--model"]
    assert main([*encode, "darts", "--output", str(tmp_path / "e.parquet")]) == 0
    assert "6 encodings of 468 numbers" in capsys.readouterr().out
    assert (
        main(["encode", "--input", str(path), "--model", "nasbench101", "--output", str(tmp_path / "f.parquet")]) == 2
    )
    assert "pairs of DARTS cells; nasbench101 is a checkpoint of nasbench101" in capsys.readouterr().err
    assert main(["neighbours", "--input", str(path), "--model", "darts"]) == 2
    assert "pairs of a normal and a reduction cell" in capsys.readouterr().err
    assert not (tmp_path / "f.parquet").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.set_column(0, "hash", pa.array(["0" * 32] * 6)), "row 0: hash is '0000"),
        (lambda t: t.set_column(t.column_names.index("normal"), "normal", pa.array(["x"] * 6)), "column 'normal' must"),
        (lambda t: t.append_column("reduce", t["reduce"]), "has 2 columns 'reduce'"),
    ],
)
def test_what_is_wrong_is_named(genotypes, tmp_path, change, message):
    table = pq.read_table(genotypes[0])
    table = change(table.select(["hash", *(name for name in table.column_names if name != "hash")]))
    pq.write_table(table, tmp_path / "bad.parquet")
    with pytest.raises(ValueError, match=message) as error:
        encode_to_parquet("darts", tmp_path / "e.parquet", input=tmp_path / "bad.parquet")
    assert "bad.parquet" in str(error.value)
    assert not (tmp_path / "e.parquet").exists()
