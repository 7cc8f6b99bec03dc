from contextlib import nullcontext

import numpy as np
import pytest
import torch

from cate_hf import Architecture, ArchitectureTable, get_space
from cate_hf.modeling import CateConfig, CateForPreTraining
from cate_hf.statistics.initialisation import InitialisationSettings, initialisation, initialisation_names
from cate_hf.statistics.structure import structure, structure_names
from cate_hf.tokenization import CateTokenizer
from cate_hf.training._batches import IdRange, TokenArrays
from cate_hf.training._evaluation import evaluate_statistics
from cate_hf.training._global_batches import global_batches
from cate_hf.training._setup import finish_encoding, freeze_unused, parameter_groups, pretraining_config
from cate_hf.training._statistics_targets import MOST, held_out_batches, statistics_batch, statistics_targets
from cate_hf.training.settings import PretrainSettings

CELLS = 24


@pytest.fixture(scope="module")
def space():
    return get_space("nasbench101")


@pytest.fixture(scope="module")
def table(space):
    return space.sample(600, seed=3)


@pytest.fixture(scope="module")
def tokens(space, table):
    return TokenArrays.from_table(CateTokenizer.from_config(CateConfig.for_space(space)), table)


@pytest.fixture(scope="module")
def plain(space, table):
    return statistics_targets(space, table)


@pytest.fixture(scope="module")
def measured(space, table, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CATE_HF_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield statistics_targets(space, table, cells=CELLS)


def test_statistics_of_the_graph_are_standardised_and_can_be_told_again(space, table, plain):
    assert plain.names == structure_names(space)
    values = plain.structure.astype(np.float64)
    assert np.abs(values).max() <= MOST
    assert np.abs(values.mean(0)).max() < 0.05
    inside = np.abs(values) < MOST
    told = plain.mean + plain.spread * values
    np.testing.assert_allclose(told[inside], structure(space, table)[inside], atol=0.02, rtol=1e-3)


def test_networks_are_measured_for_a_sample_and_missing_elsewhere(space, table, measured):
    order = np.random.default_rng([0, 4]).permutation(len(table))
    assert set(measured.measured) == set(order[:CELLS])
    prefix = "initialisation:"
    added = [name.removeprefix(prefix) for name in measured.names if name.startswith(prefix)]
    assert added == [name for name in initialisation_names() if name in added]
    assert len(added) > 20
    labels = measured.labels(np.array([0, 5]), np.array([1, 7]))
    assert labels.shape == (4, len(measured.names))
    assert np.isnan(labels[:2, measured.num_structure :]).all()
    assert np.isfinite(labels[2:]).all()
    # A network's numbers stand at its own row.
    row = measured.measured[7]
    at = np.array([initialisation_names().index(name) for name in added])
    numbers = initialisation(space, table[[row]], InitialisationSettings())[0, at]
    told = (measured.mean + measured.spread * labels[3])[measured.num_structure :]
    inside = np.abs(labels[3, measured.num_structure :]) < MOST
    np.testing.assert_allclose(told[inside], numbers[inside], atol=0.02, rtol=1e-3)


@pytest.mark.parametrize("which", ["plain", "measured"])
def test_what_is_held_out_is_never_trained_on(which, tokens, request):
    targets = request.getfixturevalue(which)
    assert len(targets.held_out) in (1, 30)  # 5 % of the measured, or of all
    assert not set(targets.held_out) & set(targets.rows)
    trained_on = np.concatenate(
        [statistics_batch(tokens, targets, 64, np.random.default_rng(i))["statistics_labels"] for i in range(10)]
    )
    held_out = np.concatenate([batch["statistics_labels"] for batch in held_out_batches(tokens, targets, 7)])
    assert len(held_out) == len(targets.held_out)
    measured = ~np.isnan(trained_on[:, -1])
    if which == "measured":
        assert measured.mean() == 0.5
        assert np.isfinite(held_out).all()
        for row in held_out:
            assert not (np.abs(trained_on[measured] - row) < 1e-3).all(1).any()


def test_labels_belong_to_the_graph_beside_them(space, tokens, measured):
    batch = statistics_batch(tokens, measured, 32, np.random.default_rng(0))
    nodes = batch["statistics_attention_mask"].sum(1)
    edges = batch["statistics_adjacency"].sum((1, 2))
    for name, numbers in (("vertices", nodes), ("edges", edges)):
        at = measured.names.index(name)
        told = measured.mean[at] + measured.spread[at] * batch["statistics_labels"][:, at]
        inside = np.abs(batch["statistics_labels"][:, at]) < MOST
        np.testing.assert_allclose(told[inside], numbers[inside], atol=0.02)


def test_batches_are_a_function_of_the_step(tokens, plain):
    settings = PretrainSettings(batch_size=8, statistics_batch_size=6)
    pairs = np.random.default_rng(0).integers(0, 600, (100, 2))
    ranges = IdRange(2, 7, 1, 0)
    whole = list(global_batches(settings, tokens, pairs, ranges, plain, 0, 20))
    later = list(global_batches(settings, tokens, pairs, ranges, plain, 13, 20))
    for one, other in zip(whole[13:], later, strict=True):
        assert one.keys() == other.keys()
        assert all(np.array_equal(one[name], other[name], equal_nan=True) for name in one if name.endswith("labels"))
    alone = PretrainSettings(batch_size=8, statistics_batch_size=6, masked_weight=0.0)
    first = next(global_batches(alone, tokens, pairs, ranges, plain, 0, 20))
    assert {name.split("_")[0] for name in first} == {"statistics"}
    assert np.array_equal(first["statistics_input_ids"], whole[0]["statistics_input_ids"])


@pytest.mark.long
@pytest.mark.parametrize(
    "fields", [{}, {"masked_weight": 0.0}, {"statistics_weight": 0.0}, {"preset": "paper"}], ids=str
)
def test_every_weight_that_is_trained_gets_a_gradient(fields, space, tokens, plain):
    settings = PretrainSettings(batch_size=4, statistics_batch_size=4, **fields)
    targets = plain if settings.statistics_weight else None
    config = pretraining_config(settings, space, targets and targets.names)
    assert config.encoding_size - config.wiring_dim <= 128
    model = CateForPreTraining(config).train()
    freeze_unused(model)
    ranges = IdRange(config.num_special_ids, config.vocab_size, config.mask_token_id, config.pad_token_id)
    pairs = np.random.default_rng(0).integers(0, 600, (100, 2))
    batch = next(global_batches(settings, tokens, pairs, ranges, targets, 0, 1))
    if settings.preset == "paper":  # its ids are other ones
        paper = TokenArrays.from_table(CateTokenizer.from_config(config), space.sample(600, seed=3))
        batch = next(global_batches(settings, paper, pairs, ranges, targets, 0, 1))
    model(**{name: torch.from_numpy(value) for name, value in batch.items()}).loss.backward()
    trained = [p for group in parameter_groups(model, 0.01) for p in group["params"]]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained)
    assert len(trained) == sum(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"masked_weight": 0.0, "statistics_weight": 0.0}, "nothing to train"),
        ({"masked_weight": -1.0}, "masked_weight must be 0 or more"),
        ({"preset": "paper", "statistics_weight": 1.0}, "predicts no statistics"),
        ({"statistics_cells": -1}, "statistics_cells must be 0 or more"),
        ({"statistics_cells": [5, -1]}, "statistics_cells must be 0 or more"),
        ({"statistics_cells": 10, "statistics_weight": 0.0}, "whose weight is 0"),
        ({"statistics_batch_size": 3, "processes": 2}, "statistics_batch_size 3 must be a multiple of 2"),
        ({"initialisations": 0}, "initialisations must be at least 1"),
    ],
)
def test_settings_that_do_not_fit_are_told(fields, message):
    with pytest.raises(ValueError, match=message):
        PretrainSettings(**fields)


class Alone:
    """What of an Accelerator the evaluation uses, in one process."""

    num_processes, process_index, device = 1, 0, torch.device("cpu")

    def autocast(self):
        return nullcontext()

    def reduce(self, values, how):
        return values


def test_coefficients_of_determination_are_those_of_scikit_learn(space, tokens, plain):
    from sklearn.metrics import r2_score

    config = CateConfig.for_space(space, statistics=plain.names, num_hidden_layers=1, num_cross_layers=0)
    torch.manual_seed(0)
    model = CateForPreTraining(config).train()
    found = evaluate_statistics(model, tokens, plain, Alone())
    assert model.training
    rows = plain.held_out
    labels = plain.structure[rows].astype(np.float64)
    with torch.no_grad():
        inputs = (tokens.input_ids[rows].astype(np.int64), tokens.attention_mask[rows], tokens.adjacency[rows])
        predicted = model.eval().cate(*map(torch.from_numpy, inputs)).statistics.numpy()
    differ = labels.std(0) > 0.01
    assert found == {
        "validation_r2_structure": pytest.approx(r2_score(labels[:, differ], predicted[:, differ]), rel=1e-3)
    }


@pytest.mark.parametrize(("statistics", "parts"), [(30, (30, 128)), (128, (128, 128)), (129, (64, 128))])
def test_an_encoding_has_at_most_256_numbers(space, statistics, parts):
    config = pretraining_config(PretrainSettings(), space, [f"s{i}" for i in range(statistics)])
    assert tuple(part.stop - part.start for part in config.encoding_parts.values()) == parts
    assert config.encoding_size <= 256
    assert config.learnt_size == 64


def test_the_statistics_are_the_encoding_as_long_as_there_is_room_for_them(space, tokens, tmp_path):
    inputs = [torch.from_numpy(array[:9]) for array in (tokens.input_ids.astype(np.int64), *tokens.arrays[1:])]
    for count in (113, 128, 129):
        names = [f"s{i}" for i in range(count)]
        config = pretraining_config(PretrainSettings(), space, names)
        config.num_hidden_layers = config.num_cross_layers = 1
        torch.manual_seed(0)
        model = CateForPreTraining(config).eval()
        with torch.no_grad():
            before = model.cate(*inputs)
            finish_encoding(model, tokens)
            if count > 128:
                assert list(config.encoding_parts) == ["learned", "wiring"]
                torch.testing.assert_close(model.cate(*inputs).statistics, before.statistics)
                continue
            model.save_pretrained(tmp_path)
            kept = CateForPreTraining.from_pretrained(tmp_path).eval()
            assert kept.config.encoding_parts["computation"] == slice(0, count)
            for after in (kept.cate(*inputs), model.cate(*inputs)):
                torch.testing.assert_close(after.pooler_output[:, :count], before.statistics, atol=1e-5, rtol=1e-4)
                torch.testing.assert_close(after.statistics, before.statistics, atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(kept.cate(*inputs).pooler_output, model.cate(*inputs).pooler_output)


@pytest.fixture(scope="module")
def mixed():
    """Cells of two spaces, and as a third kind the one that has no operation, which only NAS-Bench-201 takes."""
    space = get_space("nasbench101+nasbench201")
    parts = [member.sample(200, seed=1).replace_columns({}) for member in space.members]
    empty = ArchitectureTable.from_architectures([Architecture(["input", "output"], [[0, 0], [0, 0]])])
    return space, ArchitectureTable.concatenate([*parts, empty]).recode(space.vocabulary)


@pytest.mark.parametrize("cells", [0, [30, 20]])
def test_a_mixed_space_has_the_statistics_of_its_members_each_standardised_by_itself(mixed, cells, monkeypatch):
    space, table = mixed
    fake = np.random.default_rng(0).normal(size=(401, len(initialisation_names()))).astype(np.float32)
    hashes = {hash_: i for i, hash_ in enumerate(space.hash_many(table))}

    def measure(member, some, settings, progress=False):
        return fake[[hashes[hash_] for hash_ in member.hash_many(some)]]

    monkeypatch.setattr("cate_hf.training._statistics_targets.initialisation", measure)
    targets = statistics_targets(space, table, cells)
    of = space.member_of(table)
    assert np.bincount(of).tolist() == [200, 201]
    tokens = TokenArrays.from_table(CateTokenizer.from_config(CateConfig.for_space(space)), table)
    batch = statistics_batch(tokens, targets, 40, np.random.default_rng(0))
    held_out = np.concatenate([part["statistics_labels"] for part in held_out_batches(tokens, targets)])
    assert len(held_out) == len(targets.held_out) == (20 if cells == 0 else 3)
    first, in_batch = 0, []
    for number, member in enumerate(space.members):
        rows = np.flatnonzero(of == number)
        count = cells[number] if cells else 0
        own = statistics_targets(member, table[rows].recode(member.vocabulary), count)
        at = np.array([targets.names.index(name) for name in own.names])
        others = np.setdiff1d(np.arange(targets.num_structure), at)
        np.testing.assert_array_equal(targets.structure[np.ix_(rows, at[: own.num_structure])], own.structure)
        assert np.isnan(targets.structure[np.ix_(rows, others)]).all()
        expected = np.full((len(own.held_out), len(targets.names)), np.nan, np.float32)
        rows_own = own.held_out if not cells else own.held_out[:0]
        expected[:, at] = own.labels(rows_own, np.arange(len(own.held_out) if cells else 0))
        np.testing.assert_array_equal(held_out[first : first + len(expected)], expected)
        first += len(expected)
        in_batch.append(~np.isnan(batch["statistics_labels"][:, at[: own.num_structure]]).any(axis=1))
        assert set(targets.groups[number][0]) == set(rows[own.rows])
    assert [int(of_member.sum()) for of_member in in_batch] == [20, 20]
    if cells:
        assert (~np.isnan(batch["statistics_labels"][:, -1])).sum() == 20
        assert sorted(targets.measured[3:]) == sorted({*targets.measured} - {*targets.held_out})


@pytest.mark.parametrize(
    ("name", "cells", "message"),
    [
        ("nasbench101+nasbench201", [5], "a number for each of nasbench101.nasbench201, not 1"),
        ("nasbench101+nasbench201", [5, 0], "none at all, or some of each"),
        ("nasbench101", [5, 5], "one number for nasbench101, not 2"),
    ],
)
def test_numbers_of_measured_cells_that_do_not_fit_the_spaces(name, cells, message):
    space = get_space(name)
    with pytest.raises(ValueError, match=message):
        statistics_targets(space, space.sample(20, seed=0), cells)
