"""Parts of files, whatever their row groups are."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cate_hf import ArchitectureTable, get_space
from cate_hf.encodings.inputs import ParquetRows, TableRows
from cate_hf.graphs import write_parquet
from cate_hf.graphs._table_arrow import to_arrow

ROWS = 57


@pytest.fixture(scope="module")
def table():
    return get_space("nasbench101").sample(ROWS, seed=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("parts")


@given(
    packed=st.booleans(),
    group=st.integers(1, 70),
    bounds=st.tuples(st.integers(0, ROWS), st.integers(0, ROWS)).map(sorted),
    size=st.integers(1, 70),
)
@settings(deadline=None, max_examples=60)
def test_parts_are_slices(table, folder, packed, group, bounds, size):
    start, stop = bounds
    if packed:
        write_parquet(table, folder / "cells.parquet", overwrite=True, packed=True)
    else:
        pq.write_table(to_arrow(table), folder / "cells.parquet", row_group_size=group)
    space = get_space("nasbench101")
    expected = table[start:stop]
    for rows in (ParquetRows(space, folder / "cells.parquet"), TableRows(table)):
        assert len(rows) == ROWS
        parts = list(rows.parts(start, stop, size))
        lengths = [len(part.architectures) for part in parts]
        assert lengths == [min(size, stop - first) for first in range(start, stop, size)] or stop == start
        assert all(part.others.schema.equals(parts[0].others.schema) for part in parts)
        assert parts[0].others.column_names == ["parameters", "flops"]
        whole = ArchitectureTable.concatenate([part.architectures for part in parts])
        assert np.array_equal(whole.columns["hash"], expected.columns["hash"])
        if stop > start:
            assert [cell.to_json() for cell in whole] == [cell.to_json() for cell in expected]
        flops = pa.concat_tables([part.others for part in parts])["flops"].to_numpy()
        assert np.array_equal(flops, expected.columns["flops"])


def test_a_file_that_holds_no_architectures(tmp_path):
    space = get_space("nasbench101")
    with pytest.raises(FileNotFoundError, match="no such file"):
        ParquetRows(space, tmp_path / "nothing.parquet")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(ValueError, match="no column 'operations'"):
        ParquetRows(space, tmp_path / "other.parquet")
