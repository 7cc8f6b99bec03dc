"""Several spaces as one."""

import numpy as np
import pytest

from cate_hf import Architecture, ArchitectureTable, get_space
from cate_hf.spaces.mixed import MixedSpace

NAMES = ("nasbench201", "darts")


@pytest.fixture(scope="module")
def mixed():
    return get_space("+".join(NAMES))


@pytest.fixture(scope="module")
def cells():
    """Cells of both, mixed, and the space of each."""
    parts = [get_space(name).sample(20, seed=1) for name in NAMES]
    table = ArchitectureTable.concatenate([part.replace_columns({}) for part in parts])
    order = np.random.default_rng(0).permutation(40)
    return table[order], np.repeat(NAMES, 20)[order]


def test_the_union_of_operations(mixed):
    assert isinstance(mixed, MixedSpace)
    assert mixed is get_space("nasbench201+darts")
    vocabularies = [get_space(name).vocabulary for name in NAMES]
    assert set(mixed.vocabulary) == {*vocabularies[0], *vocabularies[1]}
    assert len(set(mixed.vocabulary)) == len(mixed.vocabulary)
    assert mixed.max_nodes == max(get_space(name).max_nodes for name in NAMES)


def test_each_architecture_is_of_its_own_space(mixed, cells):
    table, names = cells
    assert [mixed.members[number].name for number in mixed.member_of(table)] == list(names)
    hashes, flops = mixed.hash_many(table), mixed.costs(table, "flops")
    checked = mixed.validate_many(table)
    for row, name in enumerate(names):
        space = get_space(name)
        assert hashes[row] == space.hash(table[row]) == mixed.hash(table[row])
        assert flops[row] == space.flops(table[row]) == mixed.flops(table[row])
        assert checked[row] == space.validate(table[row])
    assert checked.vocabulary == mixed.vocabulary


def test_what_is_of_no_member_is_named(mixed, cells):
    table, _ = cells
    foreign = Architecture(["input", "conv3x3-bn-relu", "output"], [[0, 1, 0], [0, 0, 1], [0, 0, 0]])
    with pytest.raises(ValueError, match=r"cells.*row 40.*conv3x3-bn-relu"):
        mixed.validate_many(
            ArchitectureTable.concatenate([table, ArchitectureTable.from_architectures([foreign])]), "cells"
        )
    assert not mixed.is_valid(foreign)
    # A DARTS cell whose second input is not used as one: named by its row of the whole.
    darts = next(cell for cell, name in zip(*cells, strict=True) if name == "darts")
    broken = Architecture(darts.operations, np.zeros_like(darts.adjacency))
    wrong = ArchitectureTable.concatenate([table, ArchitectureTable.from_architectures([broken])])
    with pytest.raises(ValueError, match=r"cells, row 40"):
        mixed.validate_many(wrong, "cells")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("darts+darts", "each once"),
        ("darts+", "unknown"),
        ("darts+nasbench102", "nasbench101"),
        ("a.yaml+b.yaml", "by name"),
    ],
)
def test_names_that_are_none(name, message):
    with pytest.raises(ValueError, match=message):
        get_space(name)


def test_samples_are_of_both(mixed):
    sample = mixed.sample(11, seed=0)
    assert np.bincount(mixed.member_of(sample)).tolist() == [6, 5]
    assert np.array_equal(sample.columns["hash"], mixed.hash_many(sample))
    assert np.array_equal(sample.columns["flops"], mixed.flops_many(sample))
    assert len(mixed.sample(0, seed=0)) == 0


def test_of_several_that_have_its_operations_the_first_that_takes_it():
    """A cell of no operations: NAS-Bench-101 has the one with an edge, NAS-Bench-201 the one without."""
    mixed = get_space("nasbench101+nasbench201+darts")
    cells = [Architecture(["input", "output"], [[0, edge], [0, 0]]) for edge in (0, 1)]
    assert mixed.member_of(ArchitectureTable.from_architectures(cells)).tolist() == [1, 0]
    assert [mixed.hash(cell) for cell in cells] == [
        get_space(name).hash(cell) for name, cell in zip(("nasbench201", "nasbench101"), cells, strict=True)
    ]
