"""The wiring part of an encoding: exact counts, invariant, and recovered by linear probes."""

import numpy as np
import pytest
import torch

from cate_hf import get_space
from cate_hf.modeling import CateConfig, CateForPreTraining, CateModel
from cate_hf.modeling.wiring_cate import num_wiring_counts, wiring_counts
from cate_hf.tokenization import CateTokenizer
from cate_hf.training._batches import TokenArrays
from cate_hf.training._setup import finish_encoding

SMALL = {"num_hidden_layers": 1, "num_cross_layers": 0, "masked_loss_weight": 0.0}


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A chain of 7 nodes with skips, of 3 operations: (space, table, finished model, encodings)."""
    path = tmp_path_factory.mktemp("space") / "chain.yaml"
    path.write_text("name: chain\noperations: [a, b, c]\nnodes: 7\nedges: [6, 21]\n")
    space = get_space(path)
    rng = np.random.default_rng(0)
    adjacency = np.triu(rng.random((1500, 7, 7)) < 0.4, 1)
    adjacency[:, np.arange(6), np.arange(1, 7)] = True
    names = np.array(["a", "b", "c"])[rng.integers(0, 3, (1500, 5))]
    from cate_hf import Architecture

    table = space.table(
        [
            Architecture(["input", *row, "output"], edges.astype(int).tolist())
            for row, edges in zip(names.tolist(), adjacency, strict=True)
        ]
    )
    config = CateConfig.for_space(space, statistics=["one", "two"], **SMALL)
    torch.manual_seed(0)
    model = CateForPreTraining(config).eval()
    tokens = TokenArrays.from_table(CateTokenizer.from_config(config), table)
    finish_encoding(model, tokens)
    batch = CateTokenizer.from_config(config)(table, return_tensors="pt")
    with torch.no_grad():
        encodings = model.cate(**batch).pooler_output.numpy()
    return table, model, encodings, batch


def test_counts_by_hand():
    # input → a → b → output and input → b, as ids 2 3 4 5
    adjacency = torch.zeros(1, 4, 4)
    for edge in ((0, 1), (1, 2), (2, 3), (0, 2)):
        adjacency[0, edge[0], edge[1]] = 1
    ids, mask = torch.tensor([[2, 3, 4, 5]]), torch.ones(1, 4)
    longest = torch.tensor([[[0.0, 3.0], [1.0, 2.0], [2.0, 1.0], [3.0, 0.0]]])
    counts = wiring_counts(ids, mask, adjacency, longest, 6, 3)[0]
    nodes, operations, forward, backward = counts.split([6 * 6, 36, 9, 9])
    nodes, operations = nodes.view(6, 6), operations.view(6, 6)
    expected = torch.zeros(6, 6)
    # the depth 3 counts as the deepest, 2
    for operation, (one, other) in {2: (0, 2), 3: (1, 2), 4: (2, 1), 5: (2, 0)}.items():
        expected[operation, one] += 1
        expected[operation, 3 + other] += 1
    assert torch.equal(nodes, expected)
    assert {tuple(pair) for pair in operations.nonzero().tolist()} == {(2, 3), (3, 4), (4, 5), (2, 4)}
    assert forward.view(3, 3).tolist() == [[0, 1, 1], [0, 0, 1], [0, 0, 1]]
    assert backward.view(3, 3).tolist() == [[0, 0, 0], [1, 0, 0], [0, 2, 1]]
    assert counts.sum() == 2 * 4 + 3 * 4


def test_the_wiring_part_is_whitened_and_no_longer_than_its_rank(chain):
    _, model, encodings, _ = chain
    part = model.config.encoding_parts["wiring"]
    assert 30 < model.config.wiring_dim < 128  # 10 numbers of operations, 15 of skips, pairs of operations, …
    assert part.stop == model.config.encoding_size == encodings.shape[1]
    np.testing.assert_allclose(encodings[:, part].mean(0), 0, atol=1e-2)
    np.testing.assert_allclose(encodings[:, part].std(0), 1, atol=1e-2)


def test_a_linear_probe_finds_every_edge_and_every_operation(chain):
    from sklearn.linear_model import RidgeClassifier
    from sklearn.preprocessing import StandardScaler

    table, _, encodings, _ = chain
    vectors = StandardScaler().fit_transform(encodings)
    wanted = [table.adjacency()[:, i, j] for i in range(5) for j in range(i + 2, 7)]
    wanted += [table.operation_codes[:, i] for i in range(1, 6)]
    for labels in wanted:
        probe = RidgeClassifier(1e-2).fit(vectors[:1000], labels[:1000])
        assert probe.score(vectors[1000:], labels[1000:]) > 0.99


def test_without_the_wiring_part_the_probe_fails(chain):
    """So the test above can fail: the rest of an untrained encoding does not hold the edges."""
    from sklearn.linear_model import RidgeClassifier

    table, model, encodings, _ = chain
    rest = encodings[:, : model.config.encoding_parts["wiring"].start]
    labels = table.adjacency()[:, 1, 4]
    assert RidgeClassifier(1e-2).fit(rest[:1000], labels[:1000]).score(rest[1000:], labels[1000:]) < 0.9


def test_redrawn_and_padded_architectures_have_the_same_wiring(chain):
    _, model, encodings, batch = chain
    rng = np.random.default_rng(1)
    ids, mask, adjacency = (batch[key] for key in ("input_ids", "attention_mask", "adjacency"))
    for row in range(20):
        edges = adjacency[row].numpy().copy()
        edges[1, 2] = 0  # now nodes 1 and 2 may change places
        edges[0, 2] = 1
        order = np.array([0, 2, 1, 3, 4, 5, 6])
        drawn = [(ids[row], edges), (ids[row][order], edges[np.ix_(order, order)])]
        length = 7 + int(rng.integers(0, 4))
        found = []
        for operations, matrix in drawn:
            padded = torch.zeros(1, length, dtype=torch.long)
            square = torch.zeros(1, length, length, dtype=torch.long)
            padded[0, :7], square[0, :7, :7] = operations, torch.from_numpy(matrix).long()
            real = (torch.arange(length) < 7).long()[None]
            with torch.no_grad():
                found.append(model.cate(padded, real, square).pooler_output)
        torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=0)
    with torch.no_grad():
        longer = torch.nn.functional.pad(ids, (0, 3)), torch.nn.functional.pad(mask, (0, 3))
        padded = model.cate(*longer, torch.nn.functional.pad(adjacency, (0, 3, 0, 3))).pooler_output
    np.testing.assert_allclose(padded.numpy(), encodings, atol=1e-5)


def test_before_pre_training_it_is_a_random_sketch_the_same_each_time():
    config = CateConfig.for_space("nasbench101", **SMALL)
    assert config.wiring_dim == 128
    torch.manual_seed(1)
    one = CateModel(config).wiring
    torch.manual_seed(2)
    other = CateModel(config).wiring
    assert one.of_counts.shape == (num_wiring_counts(config), 128)
    assert torch.equal(one.of_counts, other.of_counts)
    assert one.of_counts.abs().max() > 0


def test_a_finished_model_is_saved_and_loaded_to_the_same_numbers(chain, tmp_path):
    _, model, encodings, batch = chain
    model.save_pretrained(tmp_path)
    loaded = CateModel.from_pretrained(tmp_path).eval()
    assert loaded.config.wiring_dim == model.config.wiring_dim
    with torch.no_grad():
        np.testing.assert_allclose(loaded(**batch).pooler_output.numpy(), encodings, atol=1e-6)


def test_embeddings_in_place_of_ids_have_the_same_wiring(chain):
    _, model, encodings, batch = chain
    with torch.no_grad():
        vectors = model.cate.embeddings(batch["input_ids"])
        found = model.cate(None, batch["attention_mask"], batch["adjacency"], inputs_embeds=vectors).pooler_output
    np.testing.assert_allclose(found.numpy(), encodings, atol=1e-5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"wiring_depths": 0}, "wiring_dim needs wiring_depths of at least 1"),
        ({"wiring_dim": -1}, "wiring_dim must be 0 or more"),
        ({"learnt_in_encoding": False}, "an encoding needs the statistics"),
    ],
)
def test_settings_that_do_not_fit_are_told(fields, message):
    with pytest.raises(ValueError, match=message):
        CateConfig.for_space("nasbench101", **fields)
