"""The forms in which cells of NAS-Bench-201 and genotypes of DARTS are passed around."""

import json
from collections import namedtuple
from types import SimpleNamespace

import numpy as np
import pytest

from cate_hf import Architecture, get_space
from cate_hf.spaces.darts.genotypes import CellPair
from cate_hf.spaces.darts.notation import last_of_log

NB201, DARTS = get_space("nasbench201"), get_space("darts")
BEST = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
NODES = (
    (("nor_conv_3x3", 0),),
    (("nor_conv_3x3", 0), ("nor_conv_3x3", 1)),
    (("skip_connect", 0), ("nor_conv_3x3", 1), ("nor_conv_3x3", 2)),
)


class Structure:
    """What AutoDL has."""

    def __init__(self, nodes):
        self.nodes = nodes

    def tostr(self):
        return BEST

    def __repr__(self):
        return "Structure(NODES)"


@pytest.mark.parametrize(
    "form",
    [
        "333133",
        (3, 3, 3, 1, 3, 3),
        [3, 3, 3, 1, 3, 3],
        np.array([3, 3, 3, 1, 3, 3]),
        [np.int64(n) for n in (3, 3, 3, 1, 3, 3)],
        "(3, 3, 3, 1, 3, 3)",
        "[3,3,3,1,3,3]",
        NODES,
        [list(map(list, node)) for node in NODES],
        str(NODES),
        tuple(tuple(reversed(node)) for node in NODES),
        Structure(NODES),
        f"Structure(4 nodes with {BEST})",
        f"Structure( 4 nodes with {BEST} )",
        BEST.replace("|", " | ").replace("+", " + "),
        BEST.replace("~", " ~ ") + "\n",
        "|nor_conv_3x3~0|+|nor_conv_3x3~1|nor_conv_3x3~0|+|nor_conv_3x3~2|skip_connect~0|nor_conv_3x3~1|",
    ],
    ids=str,
)
def test_forms_of_a_cell_of_nasbench201(form):
    assert NB201.cell_codes(form).tolist() == [3, 3, 3, 1, 3, 3]
    assert NB201.parse(form) == NB201.parse(BEST)
    table = NB201.parse_many([BEST, form, "000300"])
    assert table[1] == table[0] != table[2]


def test_order_of_the_numbers_is_that_of_nats_bench():
    asymmetric = "|avg_pool_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_1x1~2|"
    assert NB201.cell_codes((4, 0, 3, 1, 4, 2)).tolist() == NB201.cell_codes(asymmetric).tolist()
    assert NB201.parse((4, 0, 3, 1, 4, 2)) == NB201.parse(asymmetric)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ((3, 3, 3, 1, 3, 5), "edge 2→3 has operation 5, expected 0 to 4: six numbers .* the order of NATS-Bench"),
        ((3, 3, 3, 1, 3), "expected six numbers 0 to 4"),
        ((3, 3, 3, 1, 3, 3, 3), "expected six numbers 0 to 4"),
        ((3, 3, 3, 1, 3, -1), "operation -1, expected 0 to 4"),
        ((3, 3, 3, 1, 3, True), "operation True, expected 0 to 4"),
        ((3.0, 3, 3, 1, 3, 3), "expected six numbers"),
        (["skip_connect"] * 6, "names alone do not say on which edges they are; expected \\(\\(op, 0\\)"),
        ([[("none", 1)], *NODES[1:]], "edge 0→1: 'none~1', expected op~0; sources count from 0"),
        (NODES[::-1], "3 edges into node 1"),
        (NODES[:2], "expected six numbers"),
        ((*NODES[:2], (*NODES[2][:2], ("conv", 2))), "edge 2→3: unknown operation 'conv'"),
        (f"Structure(5 nodes with {BEST})", "5 nodes; a NAS-Bench-201 cell has 4"),
        ("|none~0|+|none~0|none~0|+|none~0|none~1|none~2|", "edge 1→2: 'none~0', expected op~1"),
        ("(3, 3, 3", "expected six numbers"),
        ({1: 2}, "field 'operations' is missing"),
        (7, "neither a nasbench201 architecture"),
    ],
)
def test_what_no_order_is_known_of_is_refused(form, message):
    with pytest.raises(ValueError, match=message) as error:
        NB201.parse(form)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=f"cells.txt, row 2: .*{message}"):
        NB201.parse_many([BEST, BEST, form, BEST], "cells.txt")


def test_many_texts_are_read_as_each_is():
    cells = NB201.enumerate()
    texts = cells.columns["cell"].tolist()
    table = NB201.parse_many(texts)
    assert NB201.hash_many(table).tolist() == cells.columns["hash"].tolist()
    mixed = ["000300", cells[7].to_json(), cells.columns["hash"][3], BEST, {**cells[7].to_dict()}, cells[9], BEST]
    assert list(NB201.parse_many(mixed)) == [NB201.parse(text) for text in mixed]
    assert len(NB201.parse_many([])) == 0
    space = get_space("nasbench101")
    few = space.sample(5, seed=0)
    assert NB201.hash(NB201.parse_many(mixed)[2]) == mixed[2]
    assert space.parse_many(few.columns["hash"]).operation_codes.tolist() == few.operation_codes.tolist()
    with pytest.raises(ValueError, match="texts, row 1: no architecture of nasbench101 has the hash '0{32}'"):
        space.parse_many([few.columns["hash"][0], "0" * 32])


NORMAL = [
    ("sep_conv_3x3", 0), ("sep_conv_3x3", 1), ("sep_conv_3x3", 0), ("sep_conv_3x3", 1),
    ("sep_conv_3x3", 1), ("skip_connect", 0), ("skip_connect", 0), ("dil_conv_3x3", 2),
]  # fmt: skip
REDUCE = [
    ("max_pool_3x3", 0), ("max_pool_3x3", 1), ("skip_connect", 2), ("max_pool_3x3", 1),
    ("max_pool_3x3", 0), ("skip_connect", 2), ("skip_connect", 2), ("max_pool_3x3", 1),
]  # fmt: skip
TEXT = f"Genotype(normal={NORMAL}, normal_concat=range(2, 6), reduce={REDUCE}, reduce_concat=range(2, 6))"
PAIR = CellPair(DARTS.from_genotype(NORMAL), DARTS.from_genotype(REDUCE))
OTHER = TEXT.replace("dil_conv_3x3", "dil_conv_5x5")
Genotype = namedtuple("Genotype", "normal normal_concat reduce reduce_concat")
FIELDS = {"normal": NORMAL, "normal_concat": range(2, 6), "reduce": REDUCE, "reduce_concat": range(2, 6)}
LISTS = {**FIELDS, "normal_concat": [2, 3, 4, 5], "reduce_concat": [2, 3, 4, 5]}
NUMBERS = [
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
]
COMPACT = tuple(tuple((i, NUMBERS.index(name)) for name, i in cell) for cell in (NORMAL, REDUCE))
PRINTED = TEXT.replace("(2, 6), ", "(2, 6),\n         ").replace("), (", "),\n                 (")
AS_NUMPY = {
    **FIELDS,
    "normal": np.array(NORMAL, dtype=object),
    "reduce": [np.array(entry, dtype=object) for entry in REDUCE],
    "normal_concat": np.arange(2, 6),
}


@pytest.mark.parametrize(
    "form",
    [
        Genotype(**FIELDS),
        SimpleNamespace(**LISTS),
        FIELDS,
        LISTS,
        AS_NUMPY,
        Genotype(np.array(NORMAL), range(2, 6), np.array(REDUCE), range(2, 6)),
        Genotype(
            [(n, np.int64(i)) for n, i in NORMAL], range(2, 6), [(n, np.int64(i)) for n, i in REDUCE], range(2, 6)
        ),
        {"normal": NORMAL, "reduce": REDUCE},
        COMPACT,
        np.array(COMPACT),
        [list(map(list, cell)) for cell in COMPACT],
    ],
    ids=lambda form: type(form).__name__,
)
def test_values_of_a_genotype(form):
    assert DARTS.from_genotype(form) == PAIR
    assert DARTS.parse_pair(form) == PAIR


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        PRINTED,
        f"DARTS_V2 = {PRINTED}\n",
        json.dumps(LISTS),
        json.dumps(LISTS, indent=2),
        json.dumps({**LISTS, "normal_concat": "range(2, 6)"}),
        str(FIELDS),
        str(LISTS),
        str(COMPACT),
        json.dumps(COMPACT),
        TEXT.replace("', 0)", "', np.int64(0))").replace("range(2, 6)", "array([2, 3, 4, 5])"),
        TEXT.replace("range(2, 6)", "list(range(2, 6))"),
        f"2019-11-01 10:10:10,123 genotype = {TEXT}\n2019-11-01 10:10:11,1 train_acc 91.2 (epoch)\n",
        f"11/01 10:10 epoch 3 lr 2.5e-2\n11/01 10:10 param size = 3.3MB\n{PRINTED}\nDone.",
    ],
)
def test_texts_of_a_genotype(text):
    assert DARTS.parse_pair(text) == PAIR


def test_the_last_genotype_of_a_log_is_taken_and_that_is_said():
    log = f"epoch 0\ngenotype = {OTHER}\ntrain 3.1\nepoch 1\ngenotype = {OTHER}\nepoch 2\ngenotype = {TEXT}\nvalid 97.0"
    with pytest.warns(UserWarning, match="3 genotypes in the text; the last is taken"):
        assert DARTS.parse_pair(log) == PAIR
    assert last_of_log(log).number == 3
    assert last_of_log(f"{TEXT}\n# a comment\n{OTHER}\n") is None
    assert last_of_log(PRINTED).text == PRINTED


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (COMPACT[0], "numbers alone do not say which is which; expected .* NASLib's compact form"),
        ([[(op, i) for i, op in cell] for cell in COMPACT], r"normal cell, entry 0: .*expected an input 0 to 1, then"),
        ({"normal": NORMAL}, "field 'reduce' is missing"),
        ({"reduce": REDUCE}, "field 'normal' is missing"),
        ({**FIELDS, "epoch": 3}, "field 'epoch' is unknown, expected normal, normal_concat"),
        ({**FIELDS, "normal_concat": [3, 4, 5, 6]}, r"normal_concat must be range\(2, 6\)"),
        ({**FIELDS, "normal": [(n, i + 1) for n, i in NORMAL]}, "normal cell, entry 1: input must be 0 to 1, not 2"),
        ({**FIELDS, "normal": [(i, n) for n, i in NORMAL]}, "normal cell, entry 0: unknown operation '0'"),
        (np.array(NORMAL)[:7], "expected a list of 8 entries"),
    ],
)
def test_wrong_genotypes_say_what_was_expected(form, message):
    for read in (DARTS.from_genotype, DARTS.parse_pair):
        with pytest.raises(ValueError, match=message) as error:
            read(form)
        assert "\n" not in str(error.value)


def test_a_single_cell_as_an_array():
    assert DARTS.from_genotype(np.array(NORMAL)) == DARTS.from_genotype(np.array(NORMAL, dtype=object)) == PAIR.normal
    assert isinstance(DARTS.parse(PAIR.normal.to_dict()), Architecture)
