"""Whatever holds architectures, taken alike by every function that takes them."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import sparse

from cate_hf import Architecture, ArchitectureTable, fit_predictor, get_space, load_benchmark, load_encoder
from cate_hf.encodings import get_encoding
from cate_hf.graphs.forms import to_table

SPACE = get_space("nasbench201")
TABLE = SPACE.pool()[100:130:3].replace_columns({})
CELLS = list(TABLE)
ROWS = [cell.to_dict() for cell in CELLS]
LISTS = {name: [row[name] for row in ROWS] for name in ("operations", "adjacency")}
FRAME = pd.DataFrame(ROWS)


def _dataset(**columns):
    import datasets

    return datasets.Dataset.from_dict({**LISTS, **columns})


FORMS = {
    "table": lambda: TABLE,
    "list": lambda: CELLS,
    "tuple": lambda: tuple(CELLS),
    "generator": lambda: (cell for cell in CELLS),
    "dicts": lambda: ROWS,
    "generator of dicts": lambda: iter(ROWS),
    "mixed": lambda: [*CELLS[:3], *ROWS[3:]],
    "object array": lambda: np.array([*CELLS, None], dtype=object)[:-1],
    "frame": lambda: FRAME,
    "frame with other columns and index": lambda: FRAME.assign(x=1.5).set_index(np.arange(10) + 7),
    "frame of arrays": lambda: FRAME.assign(adjacency=[np.array(row["adjacency"]) for row in ROWS]),
    "frame of text": lambda: FRAME.astype(str),
    "series of dicts": lambda: pd.Series(ROWS),
    "series of architectures": lambda: pd.Series(CELLS, index=range(5, 15)),
    "data set": _dataset,
    "batch of a data set": lambda: _dataset()[:10],
    "dict of lists": lambda: LISTS,
    "arrow": lambda: pa.Table.from_pylist(ROWS),
    "module names": lambda: pd.DataFrame([{f"module_{k}": v for k, v in row.items()} for row in ROWS]),
    "native texts": lambda: [SPACE.native(cell) for cell in CELLS],
    "series of texts": lambda: pd.Series([SPACE.native(cell) for cell in CELLS]),
    "frame of native texts": lambda: pd.DataFrame({"architecture": [SPACE.native(cell) for cell in CELLS]}),
    "rows of a frame": lambda: [row for _, row in FRAME.iterrows()],
    "dicts of module names": lambda: [{f"module_{k}": v for k, v in row.items()} for row in ROWS],
    "dicts of sparse matrices": lambda: [row | {"adjacency": sparse.coo_array(row["adjacency"])} for row in ROWS],
    "dicts of native texts": lambda: [{"architecture": SPACE.native(cell), "x": 1.5} for cell in CELLS],
    "array of texts": lambda: np.array([SPACE.native(cell) for cell in CELLS]),
    "array of hashes": lambda: SPACE.hash_many(TABLE),
    "frame of printed arrays": lambda: pd.DataFrame(
        {
            "operations": [str(np.array(row["operations"])) for row in ROWS],
            "adjacency": [str(np.array([*map(np.array, row["adjacency"]), None], object)[:-1]) for row in ROWS],
        }
    ),
    "hashes": lambda: SPACE.hash_many(TABLE).tolist(),
    "numbers": lambda: SPACE.codes(TABLE).tolist(),
}


LABELS = pd.Series(np.linspace(0, 1, 10) ** 2, index=range(3, 13))


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("nasbench201")


@pytest.fixture(scope="module")
def expected(encoder):
    """What the functions give for the table."""
    predictor = fit_predictor(TABLE, LABELS.to_numpy(), space=SPACE, members=0, gp=False)
    return {
        "encoding": encoder.encode(TABLE),
        "structure": get_encoding("structure", SPACE).transform(TABLE),
        "cate": get_encoding("cate", SPACE).transform(TABLE),
        "similarity": encoder.similarity(TABLE),
        "prediction": predictor.predict(TABLE)[0],
    }


@pytest.mark.parametrize("form", FORMS)
def test_every_function_takes_every_form(form, encoder, expected):
    made, hashes = FORMS[form], SPACE.hash_many(TABLE)
    assert SPACE.hash_many(SPACE.table(made())).tolist() == hashes.tolist()
    np.testing.assert_allclose(encoder.encode(made()), expected["encoding"], atol=1e-5)
    for name in ("structure", "cate"):
        encoding = get_encoding(name, SPACE)
        np.testing.assert_allclose(encoding.transform(made()), expected[name], atol=1e-5)
    np.testing.assert_allclose(encoder.similarity(made()), expected["similarity"], atol=1e-4)
    np.testing.assert_array_equal(SPACE.parameters_many(made()), SPACE.parameters_many(TABLE))
    benchmark = load_benchmark("nasbench201")
    if form != "numbers" and "text" not in form:  # these name cells, not graphs: with other results
        np.testing.assert_array_equal(benchmark.query_many(made()), benchmark.query_many(TABLE))


@pytest.mark.parametrize("form", FORMS)
def test_predictors_take_every_form(form, expected):
    fitted = fit_predictor(FORMS[form](), LABELS, space=SPACE, members=0, gp=False)
    np.testing.assert_allclose(fitted.predict(FORMS[form]())[0], expected["prediction"])


def test_single_items(encoder):
    text, numbers = SPACE.native(CELLS[0]), SPACE.codes(TABLE)[0]
    rows = (FRAME.iloc[0], _dataset()[0], {"architecture": text, "x": 1.5}, pd.Series({"architecture": text, "x": 1.5}))
    for one in (CELLS[0], ROWS[0], text, tuple(numbers.tolist()), [*numbers], *rows):
        np.testing.assert_allclose(encoder.encode(one), encoder.encode(CELLS)[:1], atol=1e-5)
        assert load_benchmark("nasbench201").query(one)
        assert list(SPACE.table(one)) == CELLS[:1]
        assert SPACE.parse(one) == CELLS[0]
        assert encoder.similarity(one, TABLE).shape == (1, 10)


def test_class_labels_and_empty_forms():
    import datasets

    names = [*SPACE.vocabulary[::-1]]
    features = datasets.Features({
        "operations": datasets.Sequence(datasets.ClassLabel(names=names)),
        "adjacency": datasets.Sequence(datasets.Sequence(datasets.Value("uint8"))),
    })  # fmt: skip
    labelled = datasets.Dataset.from_dict(LISTS, features=features)
    assert list(SPACE.table(labelled)) == CELLS
    for empty in ([], {"operations": [], "adjacency": []}, FRAME[:0], iter(()), _dataset().select([])):
        assert len(SPACE.table(empty)) == 0


def test_matrices_of_other_kinds():
    plain = CELLS[0]
    for kind in (float, bool, np.int64, np.float32):
        assert Architecture(plain.operations, plain.adjacency.astype(kind)) == plain
    assert Architecture(plain.operations, sparse.csr_matrix(plain.adjacency)) == plain
    assert Architecture(np.array(plain.operations), np.array([*plain.adjacency, None], object)[:-1]) == plain
    assert list(SPACE.table(FRAME.assign(adjacency=[sparse.coo_matrix(row["adjacency"]) for row in ROWS]))) == CELLS
    assert [Architecture.from_dict(row) for row in FRAME.to_dict("records")] == CELLS


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (7, "architectures: expected a table, architectures, .* got 7"),
        (None, "got None"),
        ([CELLS[0], None], "row 1: expected an Architecture or a dict of one, got NoneType"),
        ([ROWS[0], {"operations": ["input", "output"]}], "row 1: architecture: field 'adjacency' is missing"),
        (
            FRAME[["operations"]],
            "expected columns operations and adjacency, or architecture, or hash; it has 'operations'",
        ),
        (FRAME.rename(columns={"adjacency": "matrix"}), "it has 'operations', 'matrix'"),
        (pd.concat([FRAME, FRAME.add_prefix("module_")], axis=1), "both say what"),
        ([*CELLS, Architecture(["input", "conv", "output"], np.triu(np.ones((3, 3), int), 1))], "row 10: unknown oper"),
        (["|none~0|"], r"row 0: cell"),
        ({"train": _dataset(), "test": _dataset()}, r"data sets by name \(train, test\); give one of them"),
        (
            [ROWS[0] | {"module_operations": ["input", "output"]}],
            "row 0: architecture: field 'operations' is there twice",
        ),
    ],
)
def test_what_is_no_form_is_named(given, message):
    with pytest.raises(ValueError, match=message) as error:
        SPACE.table(given)
    assert "\n" not in str(error.value)


def test_without_a_vocabulary_names_are_as_they_appear():
    table = to_table(FRAME)
    assert list(table) == CELLS
    assert isinstance(table, ArchitectureTable)
    with pytest.raises(ValueError, match="row 0: expected an Architecture or a dict of one, got str"):
        to_table(["x"])


def test_polars():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(ROWS)
    for form in (frame, frame.lazy(), frame.rename({"adjacency": "module_adjacency"})):
        assert list(SPACE.table(form)) == CELLS
    assert list(SPACE.table(polars.Series([SPACE.native(cell) for cell in CELLS]))) == CELLS
