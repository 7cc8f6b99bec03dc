import json
import re
from collections import namedtuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cate_hf import get_space
from cate_hf.spaces.darts import _canonical as darts_canonical
from cate_hf.spaces.darts import _configurations as darts_configurations
from cate_hf.spaces.darts import genotypes as darts_genotypes
from cate_hf.spaces.darts.genotypes import CONCAT, OPERATIONS, CellPair, Genotype
from cate_hf.spaces.darts.notation import as_genotype, parse
from tests.darts_cells import SECOND_ORDER, genotypes, redrawings

SPACE = get_space("darts")
LIST = [("sep_conv_3x3", 0), ("skip_connect", 1), ("skip_connect", 2), ("max_pool_3x3", 0)]
LIST += [("dil_conv_5x5", 3), ("sep_conv_5x5", 1), ("avg_pool_3x3", 4), ("dil_conv_3x3", 2)]


def arrays(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    numbers = np.random.default_rng(seed).integers(0, 180 * 7**8, n)
    return darts_canonical.cells_of_keys(numbers)


def format_genotype(normal, reduction=None) -> str:
    return repr(Genotype(list(normal), CONCAT, list(normal if reduction is None else reduction), CONCAT))


def attempt(read, value) -> tuple:
    """What `read` gives and "", or None and the message of its ValueError."""
    try:
        return read(value), ""
    except ValueError as error:
        return None, str(error)


def test_the_layout_of_the_paper():
    cell = SPACE.from_genotype(LIST)
    assert cell.operations[:5] == ("c_{k-2}", "c_{k-1}", "skip_connect", "sep_conv_3x3", "sum")
    assert [cell.operations[node] for node in (5, 6, 11, 12)] == [LIST[i][0] for i in (3, 2, 7, 6)]
    sums = [(x, y) for y in (4, 7, 10, 13) for x in (y - 2, y - 1)] + [(y, 14) for y in (4, 7, 10, 13)]
    reads = [(0, 3), (1, 2), (4, 6), (0, 5), (7, 9), (1, 8), (10, 12), (4, 11)]  # entry by entry
    assert cell.edges == sorted(sums + reads)
    assert (len(cell), cell.num_edges) == (SPACE.max_nodes, SPACE.max_edges)


def test_arrays_to_table_and_back():
    operations, inputs = arrays(5_000)
    table = darts_genotypes.to_table(operations, inputs)
    read = darts_genotypes.from_table(table)
    assert np.array_equal(read[0], operations)
    assert np.array_equal(read[1], inputs)
    read = darts_genotypes.from_table(table.widen(17))
    assert np.array_equal(read[1], inputs)
    for row in (0, 4_999):
        assert table[row] == SPACE.from_genotype(darts_genotypes.entries(operations[row], inputs[row]))


def test_every_single_changed_edge_leaves_the_layout():
    table = darts_genotypes.to_table(*arrays(1))
    adjacency, fixed = table.adjacency()[0], 0
    for y in range(15):
        for x in range(y):
            changed = adjacency.copy()
            changed[x, y] ^= 1
            other = type(table).from_arrays(table.vocabulary, table.operation_codes, changed[None])
            with pytest.raises(ValueError, match="row 0: not a DARTS cell in the standard layout"):
                darts_genotypes.from_table(other)
            fixed += 1
    assert fixed == 105


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda o, i: (o[:, :7], i), r"x: operations: expected integers \(N, 8\)"),
        (lambda o, i: (o.astype(float), i), "x: operations: expected integers"),
        (lambda o, i: (o, i[:2]), "3 rows of operations, 2 rows of inputs"),
        (lambda o, i: (np.where(np.arange(8) == 5, 7, o), i), "x: operations, row 0, entry 5: expected 0 to 6, got 7"),
        (lambda o, i: (o, np.where(np.arange(8) == 3, 3, i)), "x: inputs, row 0, entry 3: expected 0 to 2, got 3"),
        (lambda o, i: (o, np.where(np.arange(8) == 3, -1, i.astype(int))), "x: inputs, row 0, entry 3: .* got -1"),
        (lambda o, i: (o, i * 0), "x, row 0: entries 0 and 1 both read input 0; a node has two different inputs"),
    ],
)
def test_wrong_arrays_are_told(change, message):
    with pytest.raises(ValueError, match=message):
        darts_genotypes.check(*change(*arrays(3)), "x")


@settings(deadline=None, max_examples=60)
@given(cell=genotypes())
def test_genotype_to_cell_to_genotype(cell):
    architecture = SPACE.from_genotype(cell)
    assert SPACE.validate(architecture) is architecture
    assert SPACE.genotype(architecture) == cell
    assert SPACE.from_genotype(SPACE.genotype(architecture)) == architecture


@settings(deadline=None, max_examples=60)
@given(normal=genotypes(), reduction=genotypes())
def test_all_forms_of_text(normal, reduction):
    text = format_genotype(normal, reduction)
    pair = CellPair(SPACE.from_genotype(normal), SPACE.from_genotype(reduction))
    lists = text.replace("range(2, 6)", "[2, 3, 4, 5]")
    positions = re.sub(r"\w+=", "", text)
    lines = f"# a comment\nfound = genotypes.{text}".replace("), (", "),\n  (").replace("# a comment\n", "")
    for form in (text, f"genotype = {text}", lists, positions, lines, text.replace("'", '"'), f"  {text}\n"):
        assert SPACE.parse_pair(form) == pair
    assert SPACE.native(pair) == text
    assert SPACE.from_genotype(parse(text)) == pair
    one = SPACE.from_genotype(normal)
    for form in (str(normal), json.dumps(normal), str(tuple(normal)), format_genotype(normal), one.to_json()):
        assert SPACE.parse(form) == one
        assert SPACE.parse_pair(form) == CellPair(one, one)
    assert SPACE.native(one) == format_genotype(normal)


@settings(deadline=None, max_examples=60)
@given(normal=genotypes(), reduction=genotypes())
def test_configurations_of_nasbench301(normal, reduction):
    pair = CellPair(SPACE.from_genotype(normal), SPACE.from_genotype(reduction))
    configuration = SPACE.configuration(pair)
    assert len(configuration) == 22
    for name, cell in (("normal", normal), ("reduce", reduction)):
        for i, (operation, value) in enumerate(cell):
            edge = {0: 0, 1: 2, 2: 5, 3: 9}[i // 2] + value
            assert configuration[f"NetworkSelectorDatasetInfo:darts:edge_{name}_{edge}"] == operation
        for node in (3, 4, 5):
            pair_of_inputs = sorted(value for _, value in cell[2 * node - 4 : 2 * node - 2])
            key = f"NetworkSelectorDatasetInfo:darts:inputs_node_{name}_{node}"
            assert configuration[key] == "{}_{}".format(*pair_of_inputs)
    back = SPACE.from_configuration(configuration)
    assert SPACE.hash(back) == SPACE.hash(pair)
    assert SPACE.configuration(back) == configuration
    filled = {f"NetworkSelectorDatasetInfo:darts:edge_{c}_{e}": "#na#" for c in ("normal", "reduce") for e in range(14)}
    assert SPACE.from_configuration({"OptimizerSelector:sgd": 1, **filled, **configuration}) == back
    assert SPACE.parse_pair(json.dumps(configuration)) == back


def test_edges_of_many():
    operations, inputs = arrays(100)
    edges, pairs = darts_configurations.to_edges(operations[:, [1, 0, 3, 2, 5, 4, 7, 6]], inputs[:, np.arange(8) ^ 1])
    assert np.array_equal(pairs.reshape(-1, 6), inputs[:, 2:])
    assert ((edges != darts_configurations.ABSENT).sum(axis=1) == 8).all()
    assert np.array_equal(edges[edges != darts_configurations.ABSENT].reshape(-1, 8), operations)


def test_two_cells_are_no_architecture():
    with pytest.raises(ValueError, match="the normal and the reduction cell differ, .*parse_pair reads two"):
        SPACE.parse(SECOND_ORDER)
    pair = SPACE.parse_pair(SECOND_ORDER)
    assert SPACE.native(pair) == SECOND_ORDER
    swapped = SPACE.to_genotype(CellPair(pair.normal, pair.normal))
    swapped = swapped._replace(reduce=[swapped.normal[i ^ 1] for i in range(8)])
    assert SPACE.parse(repr(swapped)) == pair.normal  # the same cell, drawn otherwise
    Other = namedtuple("Other", "normal reduce")
    assert SPACE.from_genotype(Other(LIST, LIST)) == CellPair(*[SPACE.from_genotype(LIST)] * 2)
    with pytest.raises(ValueError, match="genotype: field 'reduce' is missing"):
        SPACE.from_genotype(namedtuple("Half", "normal")(LIST))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            SECOND_ORDER.replace("sep_conv_3x3", "sep_conv_7x7"),
            "normal cell, entry 0: unknown operation 'sep_conv_7x7'",
        ),
        (SECOND_ORDER.replace("dil_conv_3x3', 2", "dil_conv_3x3', 5"), "entry 7: input must be 0 to 4, not 5"),
        (SECOND_ORDER.replace("dil_conv_3x3', 2", "dil_conv_3x3', 0"), "entries 6 and 7 both read input 0"),
        (SECOND_ORDER.replace("dil_conv_3x3', 2", "dil_conv_3x3', -1"), "entry 7: input must be 0 to 4, not -1"),
        (SECOND_ORDER.replace("dil_conv_3x3', 2", "dil_conv_3x3', True"), "entry 7: input must be 0 to 4, not True"),
        (SECOND_ORDER.replace("dil_conv_3x3', 2", "dil_conv_3x3', 2.0"), "entry 7: input must be 0 to 4, not 2.0"),
        (SECOND_ORDER.replace("concat=range(2, 6)", "concat=range(2, 5)"), r"normal_concat must be range\(2, 6\)"),
        (SECOND_ORDER.replace("range(2, 6))", "range(10 ** 12))"), r"expected lists of entries"),
        (SECOND_ORDER.replace("range(2, 6))", "range(1000000000000))"), r"reduce_concat must be range\(2, 6\), not"),
        (SECOND_ORDER.replace("reduce_concat", "concat"), "field 'concat' is unknown"),
        (SECOND_ORDER.replace(", reduce_concat=range(2, 6)", ""), "field 'reduce_concat' is missing"),
        (SECOND_ORDER.replace("normal=", "normal=print(1) or "), "expected lists of entries"),
        (SECOND_ORDER.replace("('skip_connect', 0), ", "", 1), "normal cell: expected a list of 8 entries .* got 7"),
        (SECOND_ORDER[:-1], "is neither Genotype"),
        (SECOND_ORDER + " ", None),
        (SECOND_ORDER + " or 1", "is neither Genotype"),
        ("Genotype(*[1, 2])", "field 'reduce' is missing|expected lists of entries|field 'normal_concat' is missing"),
        ("Genotype(**{})", "field None is unknown"),
        ("Genotype(1, 2, 3, 4, 5)", "5 fields, a Genotype has 4"),
        ("[]", "expected a list of 8 entries .* got 0 entries"),
        ("[1, 2, 3, 4, 5, 6, 7, 8]", r"entry 0: expected \(operation, input\), got 1"),
        (str([*LIST[:-1], ("sum", 2)]), "entry 7: unknown operation 'sum'"),
        (str(LIST) + " " * 20_000 + "#", "it has 20,"),
        ("(" * 5_000, "is neither Genotype"),
        ("[" * 100 + "]" * 100, "expected a list of 8 entries"),
        ("[" + "-" * 9_000 + "1]", "is neither Genotype|expected lists"),
        ("{" + darts_configurations.PREFIX, "configuration: not valid JSON"),
        ('{"' + darts_configurations.PREFIX + '": 1}', "expected 2 of the 2 edges from .*edge_normal_0 on, found 0"),
    ],
)
def test_wrong_texts_are_told(text, message, capsys):
    if message is None:
        assert SPACE.parse_pair(text)
        return
    with pytest.raises(ValueError, match=message) as error:
        SPACE.parse_pair(text)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400
    assert capsys.readouterr() == ("", "")


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_mutated_texts_never_raise_anything_but_one_line(data):
    source = data.draw(
        st.sampled_from([SECOND_ORDER, str(LIST), json.dumps(SPACE.configuration(SPACE.from_genotype(LIST)))])
    )
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(source)))
        end = data.draw(st.integers(start, min(len(source), start + 30)))
        pieces = st.one_of(st.text(max_size=6), st.sampled_from([*"()[]{},'0123456789=\\\0\n", "range(", *OPERATIONS]))
        source = source[:start] + data.draw(pieces) + source[end:]
    for read in (SPACE.parse_pair, SPACE.parse):
        assume(not re.fullmatch("[0-9a-f]{32}", source.strip()))  # a hash: looked up in the pool
        pair, error = attempt(read, source)
        assert "\n" not in error
        assert len(error) < 600
        assert error or SPACE.parse_pair(SPACE.native(pair)) == SPACE.pair(pair)


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_mutated_configurations_never_raise_anything_but_one_line(data):
    configuration = SPACE.configuration(SPACE.from_genotype(data.draw(genotypes())))
    keys = st.sampled_from(
        [*configuration, *(f"{darts_configurations.PREFIX}edge_normal_{e}" for e in (*range(15), 10**30))]
    )
    values = st.one_of(
        st.sampled_from([*OPERATIONS, "0_1", "1_0", "1_2", "0_1_2"]), st.none(), st.integers(), st.lists(st.integers())
    )
    for _ in range(data.draw(st.integers(1, 3))):
        key = data.draw(keys)
        if data.draw(st.booleans()):
            configuration.pop(key, None)
        else:
            configuration[key] = data.draw(values)
    pair, error = attempt(SPACE.from_configuration, configuration)
    assert "\n" not in error
    assert "configuration" in error or SPACE.configuration(pair).items() <= configuration.items()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, "expected a list of 8 entries .* got int"),
        ("x", "is neither"),
        (None, "got NoneType"),
        ([("sep_conv_3x3", 0)] * 8, "both read input 0"),
        ([*LIST[:7], ("dil_conv_3x3",)], "entry 7: expected"),
        ([*LIST[:7], (["dil_conv_3x3"], 1)], "entry 7: unknown operation"),
    ],
)
def test_wrong_genotypes_are_told(value, message):
    with pytest.raises(ValueError, match=message):
        as_genotype(value)


def test_180_wirings_are_79_up_to_isomorphism():
    inputs = darts_canonical.wirings().inputs
    operations = np.full_like(inputs, 2)
    keys = darts_canonical.canonical_keys(operations, inputs)
    table = darts_genotypes.to_table(operations, inputs)
    found = []  # (representative, key)
    for cell, key in zip(table, keys.tolist(), strict=True):
        same = [k for other, k in found if other.is_isomorphic(cell)]
        assert same == [k for _, k in found if k == key]
        found += [] if same else [(cell, key)]
    assert len(found) == 79


def number_of_cells(operations=7):
    """How many cells there are up to isomorphism, by Burnside's lemma over the symmetries of each canonical wiring."""
    table, total = darts_canonical.wirings(), 0
    for number in np.unique(table.canonical).tolist():
        fixed = sum(operations ** _cycles(places.tolist()) for places in table.places[number])
        total += fixed // len(table.places[number])
    return total


def _cycles(permutation):
    left, cycles = set(range(len(permutation))), 0
    while left:
        cycles += 1
        place = start = left.pop()
        while permutation[place] != start:
            place = permutation[place]
            left.remove(place)
    return cycles


def test_the_number_of_cells_agrees_with_counting():
    labellings = np.stack(np.meshgrid(*[[0, 1]] * 8), axis=-1).reshape(-1, 8).astype(np.uint8)
    inputs = darts_canonical.wirings().inputs
    operations, inputs = np.repeat(labellings, len(inputs), axis=0), np.tile(inputs, (len(labellings), 1))
    keys = darts_canonical.canonical_keys(operations, inputs)
    assert len(np.unique(keys)) == number_of_cells(operations=2) == 17_531
    assert number_of_cells() == 382_128_166


def canonical(operations, inputs):
    keys = darts_canonical.canonical_keys(operations, inputs)
    return *darts_canonical.cells_of_keys(keys), keys


def test_the_canonical_form_is_the_lowest_drawing():
    operations, inputs = arrays(200, seed=1)
    canonical_operations, canonical_inputs, keys = canonical(operations, inputs)
    again = canonical(canonical_operations, canonical_inputs)
    for first, second in zip((canonical_operations, canonical_inputs, keys), again, strict=True):
        assert np.array_equal(first, second)
    for row in range(len(operations)):
        drawn_operations, drawn_inputs = darts_canonical.drawings(operations[row], inputs[row])
        darts_genotypes.check(drawn_operations, drawn_inputs)
        wirings = darts_canonical.wiring_numbers(drawn_inputs)
        numbers = wirings * 7**8 + drawn_operations @ (7 ** np.arange(8))
        assert numbers.min() == keys[row]
        assert len(np.unique(numbers)) == len(numbers)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), cell=genotypes())
def test_one_canonical_form_for_all_drawings(data, cell):
    architecture = SPACE.from_genotype(cell)
    drawn = data.draw(redrawings(architecture))
    valid = SPACE.validate(drawn)
    assert valid.is_isomorphic(architecture)
    keys = [darts_canonical.canonical_keys(*SPACE.cells(SPACE.table([a])))[0] for a in (architecture, drawn, valid)]
    assert len(set(keys)) == 1
