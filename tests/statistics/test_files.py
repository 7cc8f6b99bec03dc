import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from cate_hf import Architecture, get_space
from cate_hf.commands._statistics import statistics
from cate_hf.graphs import read_parquet
from cate_hf.graphs._cache import CACHE_VARIABLE
from cate_hf.statistics.files import statistics_to_parquet
from cate_hf.statistics.initialisation import InitialisationSettings, initialisation, initialisation_names
from cate_hf.statistics.structure import structure, structure_names

SMALL = InitialisationSettings(batch=4, image_size=8)


def statistic_columns(table, kind: str) -> np.ndarray:
    names = [name for name in table.columns if name.startswith(f"{kind}/")]
    return np.column_stack([table.columns[name] for name in names])


def test_a_whole_space(tmp_path):
    output = tmp_path / "deep" / "structure.parquet"
    space, rows, columns = statistics_to_parquet(output, space="nasbench201")
    cells = space.enumerate()
    assert (space.name, rows) == ("nasbench201", 15_625)
    assert columns == [f"structure/{name}" for name in structure_names(space)]
    table = read_parquet(output)
    assert list(table.columns) == [*cells.columns, *columns]
    np.testing.assert_array_equal(table.columns["hash"], cells.columns["hash"])
    np.testing.assert_array_equal(statistic_columns(table, "structure"), structure(space, cells))


def test_a_sample_with_both_kinds(tmp_path, monkeypatch):
    get_space("nasbench201").pool()  # before the cache is another
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    output = tmp_path / "both.parquet"
    _, rows, columns = statistics_to_parquet(output, "both", "nasbench201", sample=4, seed=7, settings=SMALL, jobs=1)
    space = get_space("nasbench201")
    cells = space.sample(4, seed=7)
    assert (rows, len(columns)) == (4, len(structure_names(space)) + len(initialisation_names()))
    table = read_parquet(output)
    np.testing.assert_array_equal(statistic_columns(table, "initialisation"), initialisation(space, cells, SMALL))
    np.testing.assert_array_equal(statistic_columns(table, "structure"), structure(space, cells))
    # Of its own output, further columns are added and those that are there computed anew.
    statistics_to_parquet(tmp_path / "again.parquet", "structure", input=output)
    again = read_parquet(tmp_path / "again.parquet")
    assert list(again.columns) == list(table.columns)
    np.testing.assert_array_equal(statistic_columns(again, "structure"), structure(space, cells))


def test_a_file_keeps_its_columns_and_its_space_is_found(tmp_path):
    cells = get_space("darts").sample(3, seed=1)
    path = tmp_path / "cells.jsonl"
    path.write_text("".join(json.dumps(cell.to_dict() | {"accuracy": i / 10}) + "\n" for i, cell in enumerate(cells)))
    space, rows, _ = statistics_to_parquet(tmp_path / "s.parquet", input=path)
    assert (space.name, rows) == ("darts", 3)
    table = read_parquet(tmp_path / "s.parquet")
    np.testing.assert_array_equal(table.columns["accuracy"], [0, 0.1, 0.2])
    np.testing.assert_array_equal(table.columns["hash"], cells.columns["hash"])
    assert pq.read_schema(tmp_path / "s.parquet").field("structure/edges").type == "float"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "struct"}, "unknown kind of statistics 'struct'; did you mean 'structure'"),
        ({"space": None}, r"give a search space \(--space\), a file"),
        ({"space": "nasbench102"}, "did you mean 'nasbench101'"),
        ({"input": "cells.parquet", "sample": 3}, "cannot be drawn of a file"),
    ],
)
def test_wrong_options(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        statistics_to_parquet(tmp_path / "out.parquet", **{"space": "nasbench201"} | options)
    assert not list(tmp_path.iterdir())


def test_wrong_files(tmp_path):
    chain = np.eye(3, k=1, dtype=np.uint8)
    path, output = tmp_path / "cells.jsonl", tmp_path / "out.parquet"

    def refused(row: dict, message: str, **options) -> None:
        path.write_text(json.dumps(row) + "\n")
        with pytest.raises(ValueError, match=message):
            statistics_to_parquet(output, input=path, **options)
        assert not output.exists()

    cell = Architecture(["input", "maxpool3x3", "output"], chain)
    refused(cell.to_dict() | {"hash": "0" * 32}, "cells.jsonl, row 0: hash is '0{32}', its architecture has")
    refused(Architecture(["input", "warp", "output"], chain).to_dict(), r"no space that is known; name its space")
    refused(cell.to_dict(), "cells.jsonl, line 1: node 1: unknown|row 0", space="darts")
    refused(Architecture(["input", "maxpool3x3", "output"], 0 * chain).to_dict(), "cells.jsonl, row 0: .*no path")
    output.write_text("mine")
    with pytest.raises(FileExistsError):
        statistics_to_parquet(output, space="nasbench201")
    assert output.read_text() == "mine"


def test_command(tmp_path):
    app = typer.Typer()
    app.command()(statistics)
    output = tmp_path / "s.parquet"
    result = CliRunner().invoke(app, ["--space", "darts", "--sample", "5", "--output", str(output)])
    assert result.exit_code == 0, result.output
    assert result.output.strip() == f"wrote {output}: 69 statistics of 5 architectures of darts"
    assert len(read_parquet(output)) == 5
    result = CliRunner().invoke(app, ["--space", "darts", "--kind", "all", "--output", str(tmp_path / "t.parquet")])
    assert isinstance(result.exception, ValueError)
    help_text = CliRunner().invoke(app, ["--help"]).output
    assert "cate statistics --space nasbench101 --output structure.parquet" in help_text
