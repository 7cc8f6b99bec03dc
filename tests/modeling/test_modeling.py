"""The checks that transformers runs over its own models, for ours."""

import itertools
import json

import networkx as nx
import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForPreTraining, AutoModelForSequenceClassification

from cate_hf.modeling import CateConfig, CateForPreTraining, CateForSequenceClassification, CateModel
from cate_hf.modeling.graph_features_cate import node_features, reachability, relations
from cate_hf.modeling.layers_cate import dropout
from cate_hf.modeling.losses_cate import masked_operation_loss, pairwise_ranking_loss, statistics_loss

SMALL = {"num_hidden_layers": 3, "num_cross_layers": 2}
CLASSES = [CateModel, CateForPreTraining, CateForSequenceClassification]


def config_of(preset, **fields):
    statistics = {} if preset == "paper" else {"statistics": ["one", "two", "three"]}
    return getattr(CateConfig, preset)("nasbench101", **(SMALL | statistics | fields))


def build(model_class, config, seed=0, **kwargs):
    torch.manual_seed(seed)
    model = model_class._from_config(config, **kwargs).eval()
    with torch.no_grad():  # fresh biases are 0, and would hide mistakes
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1 or name.endswith("biases"):
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def graphs(config, sizes=(7, 5, 2, 6), length=7, seed=0):
    """Random architectures padded to `length`."""
    rng = np.random.default_rng(seed)
    ids = np.full((len(sizes), length), config.pad_token_id)
    adjacency = np.zeros((len(sizes), length, length), int)
    for row, nodes in enumerate(sizes):
        ids[row, :nodes] = rng.integers(config.num_special_ids, config.vocab_size, nodes)
        adjacency[row, :nodes, :nodes] = np.triu(rng.random((nodes, nodes)) < 0.5, 1)
    mask = np.arange(length) < np.array(sizes)[:, None]
    return {
        "input_ids": torch.tensor(ids),
        "attention_mask": torch.tensor(mask).long(),
        "adjacency": torch.tensor(adjacency),
    }


def inputs_for(model_class, config, **kwargs):
    batch = graphs(config, **kwargs)
    if model_class is CateForPreTraining:
        batch |= {f"pair_{k}": v.flip(0) for k, v in batch.items()}
        for prefix in ("", "pair_"):
            real = batch[f"{prefix}attention_mask"].bool()
            batch[f"{prefix}labels"] = torch.where(real, batch[f"{prefix}input_ids"], -100)
        if config.statistics:
            batch |= {f"statistics_{k}": v for k, v in graphs(config, **kwargs).items()}
            batch["statistics_labels"] = torch.linspace(-1, 1, 12).view(4, 3)
    elif model_class is CateForSequenceClassification:
        batch["labels"] = torch.linspace(0.1, 0.9, len(batch["input_ids"]))
    return batch


def main_output(output):
    return output.last_hidden_state if "last_hidden_state" in output else output.logits


PRESETS = pytest.mark.parametrize("preset", ["for_space", "paper"])
EACH = pytest.mark.parametrize("model_class", CLASSES)


def test_reachability_is_the_transitive_closure():
    adjacency = torch.triu((torch.rand(50, 15, 15) < 0.2).int(), 1)
    expected = adjacency.numpy().astype(bool)
    for k in range(15):
        expected = expected | (expected[:, :, k : k + 1] & expected[:, k : k + 1, :])
    assert np.array_equal(reachability(adjacency).numpy(), expected)


@EACH
@PRESETS
def test_eager_and_sdpa_agree(model_class, preset):
    config = config_of(preset)
    eager = build(model_class, config, attn_implementation="eager")
    sdpa = build(model_class, config, attn_implementation="sdpa")
    batch = inputs_for(model_class, config)
    with torch.no_grad():
        torch.testing.assert_close(main_output(eager(**batch)), main_output(sdpa(**batch)), atol=1e-5, rtol=0)


@EACH
@PRESETS
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_finite_in_every_dtype(model_class, preset, dtype, attention):
    config = config_of(preset)
    model = build(model_class, config, attn_implementation=attention).to(dtype)
    with torch.no_grad():
        output = model(**inputs_for(model_class, config))
    assert main_output(output).dtype == dtype
    assert main_output(output).isfinite().all()


@EACH
@PRESETS
def test_save_and_load(model_class, preset, tmp_path):
    config = config_of(preset)
    model = build(model_class, config)
    model.save_pretrained(tmp_path)
    assert {p.suffix for p in tmp_path.iterdir()} - {".py"} == {".json", ".safetensors"}
    loaded = model_class.from_pretrained(tmp_path)
    batch = inputs_for(model_class, config)
    with torch.no_grad():
        assert torch.equal(main_output(model(**batch)), main_output(loaded(**batch)))
    assert next(model_class.from_pretrained(tmp_path, dtype=torch.bfloat16).parameters()).dtype == torch.bfloat16


def test_auto_classes_load_each_from_a_pretraining_checkpoint(tmp_path):
    config = config_of("for_space")
    model = build(CateForPreTraining, config)
    model.save_pretrained(tmp_path)
    batch = graphs(config)
    with torch.no_grad():
        expected = model.cate(**batch).pooler_output
        assert torch.equal(AutoModel.from_pretrained(tmp_path)(**batch).pooler_output, expected)
    assert isinstance(AutoModelForPreTraining.from_pretrained(tmp_path), CateForPreTraining)
    assert AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=1).num_labels == 1


@EACH
def test_hidden_states_and_attentions(model_class):
    config = config_of("for_space", attention_direction="split")
    model = build(model_class, config, attn_implementation="eager")
    batch = inputs_for(model_class, config)
    with torch.no_grad():
        output = model(**batch, output_hidden_states=True, output_attentions=True)
    cross = model_class is CateForPreTraining
    layers, length = (config.num_cross_layers, 14) if cross else (config.num_hidden_layers, 7)
    assert [h.shape for h in output.hidden_states] == [(4, length, 64)] * (layers + 1)
    heads = config.num_attention_heads
    assert [a.shape for a in output.attentions] == [(4, heads, length, length)] * layers
    torch.testing.assert_close(output.attentions[0].sum(-1), torch.ones(4, heads, length))
    if not cross:
        # Heads that look at ancestors give nothing to what comes later, and the others nothing to what comes earlier.
        assert output.attentions[0][:, : heads // 2].triu(1).abs().max() < 1e-6
        assert output.attentions[0][:, heads // 2 :].tril(-1).abs().max() < 1e-6
    other = build(model_class, config, attn_implementation="sdpa")  # which gives no weights by itself
    with torch.no_grad():
        torch.testing.assert_close(other(**batch, output_attentions=True).attentions, output.attentions)
        assert other(**batch).get("attentions") is None
    as_tuple = model(**batch, return_dict=False)
    assert isinstance(as_tuple, tuple)


@EACH
@PRESETS
def test_training_step_reaches_every_weight(model_class, preset):
    config = config_of(preset)
    model = build(model_class, config, attn_implementation="eager").train()
    batch = inputs_for(model_class, config)
    output = model(**batch)
    loss = output.loss if "loss" in output else output.pooler_output.square().sum()
    loss.backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert without == []


@EACH
def test_gradient_checkpointing_gives_the_same_gradients(model_class):
    config = config_of("for_space")
    gradients = []
    for checkpointing in (False, True):
        model = build(model_class, config, attn_implementation="eager").train()
        if checkpointing:
            model.gradient_checkpointing_enable()
            assert model.is_gradient_checkpointing
        output = model(**inputs_for(model_class, config))
        (output.loss if "loss" in output else output.pooler_output.sum()).backward()
        gradients.append([p.grad for p in model.parameters()])
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, checkpointed, atol=1e-6, rtol=1e-5)


def test_embeddings_resize():
    config = config_of("for_space")
    model = build(CateForPreTraining, config)
    old = model.get_input_embeddings().weight[:7].clone()
    model.resize_token_embeddings(10)
    assert model.config.vocab_size == 10
    assert torch.equal(model.get_input_embeddings().weight[:7], old)
    batch = inputs_for(CateForPreTraining, config)
    batch["input_ids"][0, 0] = 9
    assert model(**batch).logits.shape == (4, 7, 10)


def test_tied_embeddings_stay_tied(tmp_path):
    model = build(CateForPreTraining, config_of("for_space", tie_word_embeddings=True))
    assert model.head.decoder.weight is model.cate.embeddings.weight
    model.save_pretrained(tmp_path)
    loaded = CateForPreTraining.from_pretrained(tmp_path)
    assert loaded.head.decoder.weight.data_ptr() == loaded.cate.embeddings.weight.data_ptr()
    assert torch.equal(loaded.head.decoder.weight, model.head.decoder.weight)


def test_an_architecture_alone_in_a_batch_and_padded_is_encoded_alike():
    config = config_of("for_space")
    model = build(CateModel, config)
    sizes = (7, 5, 2, 6)
    together = graphs(config, sizes)
    padded = graphs(config, sizes, length=11)
    padded["input_ids"][:, :7], padded["adjacency"][:, :7, :7] = together["input_ids"], together["adjacency"]
    # Whatever stands in the padding must not matter either.
    padded["input_ids"][padded["attention_mask"] == 0] = 3
    with torch.no_grad():
        expected = model(**together).pooler_output
        torch.testing.assert_close(model(**padded).pooler_output, expected, atol=1e-5, rtol=0)
        for row, nodes in enumerate(sizes):
            alone = {k: v[row : row + 1, :nodes] for k, v in together.items()}
            alone["adjacency"] = alone["adjacency"][:, :, :nodes]
            torch.testing.assert_close(model(**alone).pooler_output, expected[row : row + 1], atol=1e-5, rtol=0)


def test_isomorphic_drawings_are_encoded_alike():
    config = config_of("for_space")
    model = build(CateModel, config)
    # input → a, b; a → output; b → c → output; drawn in every order of a, b, c that keeps b before c.
    edges = [("in", "a"), ("in", "b"), ("a", "out"), ("b", "c"), ("c", "out")]
    ids = {"in": 2, "a": 3, "b": 4, "c": 5, "out": 6}
    encodings = []
    for order in itertools.permutations("abc"):
        if order.index("b") < order.index("c"):
            nodes = ["in", *order, "out"]
            adjacency = torch.zeros(1, 5, 5, dtype=torch.long)
            for source, target in edges:
                adjacency[0, nodes.index(source), nodes.index(target)] = 1
            with torch.no_grad():
                encodings.append(model(torch.tensor([[ids[n] for n in nodes]]), adjacency=adjacency).pooler_output)
    assert len(encodings) == 3
    torch.testing.assert_close(encodings[1], encodings[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(encodings[2], encodings[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "fields",
    [
        {"attention_direction": "descendants"},
        {"attention_direction": "ancestors"},
        {"attend_to_self": False},
        {"attention_direction": "split"},
        {"edge_bias": True},
        {"relation_buckets": 0},
        {"relation_buckets": 1},
        {"node_features": False},
        {"pooling": "last"},
        {"pooling": "mean"},
        {"padding_is_visible": True},
        {"embedding_scale": False},
    ],
    ids=str,
)
def test_every_field_of_the_design_changes_the_encoding(fields):
    statistics = None if "pooling" in fields else ["one"]
    reference = config_of("for_space", learnt_in_encoding=True)
    changed = config_of("for_space", **({"learnt_in_encoding": True, "statistics": statistics} | fields))
    batch = graphs(reference)
    with torch.no_grad():
        one = build(CateModel, reference)(**batch).pooler_output
        other = build(CateModel, changed)(**batch).pooler_output
    assert other.isfinite().all()
    one, other = one[:, :64], other[:, :64]  # the learned part, without statistics and wiring
    assert (one - other).abs().max() > 1e-3


def test_the_same_input_gives_the_same_output_and_dropout_follows_the_seed():
    config = config_of("paper")
    model = build(CateModel, config)
    batch = graphs(config)
    with torch.no_grad():
        assert torch.equal(model(**batch).pooler_output, model(**batch).pooler_output)
        model.train()
        runs = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            runs.append(model(**batch).pooler_output)
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_dropout_is_what_it_says():
    torch.manual_seed(0)
    dropped = dropout(torch.ones(1000, 1003), 0.1, training=True)
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / 0.9])
    zeros = (dropped == 0).float()
    assert zeros.mean().item() == pytest.approx(0.1, abs=0.002)  # 6.7 standard deviations
    # Neighbours share a 64-bit draw: they must not be correlated.
    correlation = torch.corrcoef(torch.stack([zeros[:, :-1].flatten(), zeros[:, 1:].flatten()]))[0, 1]
    assert abs(correlation.item()) < 0.006
    assert torch.equal(dropout(zeros, 0.1, training=False), zeros)


def test_masked_operation_loss_by_hand():
    config = config_of("for_space")  # ids 2 .. 6 are operations
    logits = torch.randn(1, 3, 7)
    labels = torch.tensor([[4, -100, 2]])
    total, count = masked_operation_loss(logits, labels, config)
    expected = 0.0
    for position, label in ((0, 4), (2, 2)):
        for token in range(2, 7):
            target = 0.9 if token == label else 0.1 / 4
            expected += target * (np.log(target) - logits[0, position].log_softmax(-1)[token].item())
    assert count.item() == 2
    assert total.item() == pytest.approx(expected, rel=1e-5)
    assert masked_operation_loss(logits, torch.full((1, 3), -100), config)[1].item() == 0


def test_the_papers_loss_spreads_over_vocabulary_less_two_and_never_asks_for_the_input():
    config = config_of("paper")
    logits = torch.randn(1, 2, 5)
    total, count = masked_operation_loss(logits, torch.tensor([[0, 3]]), config)
    log_probabilities = logits[0, 1].log_softmax(-1)
    smooth = 0.1 / (5 - 2)
    targets = {1: smooth, 2: smooth, 3: 0.9, 4: smooth}
    expected = sum(t * (np.log(t) - log_probabilities[i].item()) for i, t in targets.items())
    assert count.item() == 1
    assert total.item() == pytest.approx(expected, rel=1e-5)


def test_a_pair_with_nothing_masked_has_no_loss():
    config = config_of("for_space")
    batch = inputs_for(CateForPreTraining, config)
    batch["labels"][:], batch["pair_labels"][:] = -100, -100
    assert build(CateForPreTraining, config)(**batch).masked_loss.item() == 0


def test_loss_divides_by_the_global_number_when_given():
    config = config_of("for_space")
    model, batch = build(CateForPreTraining, config), inputs_for(CateForPreTraining, config)
    count = sum((batch[k] != -100).sum() for k in ("labels", "pair_labels"))
    with torch.no_grad():
        whole, part = model(**batch), model(**batch, num_items_in_batch=1000, num_statistics_in_batch=100)
        torch.testing.assert_close(whole.masked_loss * count / 1000, part.masked_loss)
        torch.testing.assert_close(whole.statistics_loss * 12 / 100, part.statistics_loss)


def test_ranking_loss_prefers_the_right_order():
    labels = torch.tensor([[0.1], [0.5], [0.9]])
    assert pairwise_ranking_loss(labels * 9, labels) < pairwise_ranking_loss(-labels * 9, labels)
    assert pairwise_ranking_loss(labels, torch.ones(3, 1)).item() == 0
    config = config_of("for_space", ranking_loss_weight=1.0, num_labels=1)
    assert build(CateForSequenceClassification, config)(**inputs_for(CateForSequenceClassification, config)).loss > 0


def shuffled(adjacency, rng):
    """Another drawing of a graph (L, L) whose node 0 is the input and whose last is the output: in another topological
    order. Returns the order."""
    left, order = set(range(len(adjacency))), []
    while left:
        ready = sorted(n for n in left if not any(adjacency[m, n] for m in left))
        ready = [n for n in ready if n != len(adjacency) - 1] or ready  # the output stays last
        order.append(ready[rng.integers(len(ready))])
        left.remove(order[-1])
    return order


def test_graph_features_do_not_depend_on_the_drawing_and_say_what_they_say():
    rng = np.random.default_rng(1)
    for _ in range(20):
        size = int(rng.integers(3, 12))
        adjacency = np.triu(rng.random((size, size)) < 0.4, 1)
        order = shuffled(adjacency, rng)
        found = []
        for nodes in (list(range(size)), order):
            graph = torch.tensor(adjacency[np.ix_(nodes, nodes)].astype(int)).unsqueeze(0)
            related, reach = relations(graph, 3)
            inverse = np.argsort(nodes)
            features = node_features(graph, torch.ones(1, size), reach)[0]
            found.append((related[0][inverse][:, inverse], features[inverse]))
        assert torch.equal(found[0][0], found[1][0])
        torch.testing.assert_close(found[0][1], found[1][1])
        assert torch.equal(reach[0], reachability(graph)[0])
        networkx_graph = nx.from_numpy_array(adjacency, create_using=nx.DiGraph)
        distances = dict(nx.all_pairs_shortest_path_length(networkx_graph))
        bucket = {1: 1, 2: 2}  # further are in the third
        for i, j in itertools.permutations(range(size), 2):
            distance = distances[i].get(j)
            if distance:
                assert found[0][0][i, j] == 1 + bucket.get(distance, 3)
                assert found[0][0][j, i] == 1 + 3 + bucket.get(distance, 3)
            elif i not in distances[j]:
                assert found[0][0][i, j] == 0
        sources = [n for n in range(size) if not adjacency[:, n].any()]
        for node in range(size):
            lengths = [
                len(path) - 1 for s in sources for path in nx.all_simple_paths(networkx_graph, s, node) if s != node
            ]
            lengths = [0] if node in sources else lengths
            shortest, mean, longest, paths, degree, relatives = found[0][1][node, :6].tolist()
            assert (shortest * 4, longest * 4, degree * 4) == (min(lengths), max(lengths), adjacency[:, node].sum())
            assert mean * 4 == pytest.approx(np.mean(lengths))
            assert paths * 2 == pytest.approx(np.log1p(len(lengths)), rel=1e-5)
            assert relatives == pytest.approx(np.log1p(len(nx.ancestors(networkx_graph, node))))


def test_random_isomorphic_drawings_of_the_space_are_encoded_alike():
    config = config_of("for_space")
    model, rng = build(CateModel, config), np.random.default_rng(0)
    batch = graphs(config, sizes=(7,) * 40)
    other = {k: v.clone() for k, v in batch.items()}
    for row in range(40):
        order = shuffled(batch["adjacency"][row].numpy(), rng)
        other["input_ids"][row] = batch["input_ids"][row][order]
        other["adjacency"][row] = batch["adjacency"][row][order][:, order]
    assert not torch.equal(other["input_ids"], batch["input_ids"])
    with torch.no_grad():
        torch.testing.assert_close(
            model(**other).pooler_output, model(**batch).pooler_output, atol=1e-5, rtol=0, check_dtype=True
        )


def test_a_checkpoint_of_format_1_still_loads_as_it_was(tmp_path):
    fields = {"operations": ["in", "a", "b", "c", "out"], "num_hidden_layers": 2, "num_cross_layers": 1}
    model = build(CateForPreTraining, CateConfig(**fields))
    model.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    new = ("relation_buckets", "node_features", "encoding_dim", "statistics", "statistics_in_encoding")
    new = (*new, "masked_loss_weight", "statistics_loss_weight")
    path.write_text(json.dumps({k: v for k, v in config.items() if k not in new}))
    loaded = CateForPreTraining.from_pretrained(tmp_path)
    assert loaded.config.format_version == 1
    assert not any("pooler" in name or "relation" in name or "node_features" in name for name in loaded.state_dict())
    batch = inputs_for(CateForPreTraining, loaded.config)
    with torch.no_grad():
        assert torch.equal(model(**batch).logits, loaded(**batch).logits)
        states = loaded.cate(**graphs(loaded.config))
    weights = graphs(loaded.config)["attention_mask"].unsqueeze(-1)
    torch.testing.assert_close(states.pooler_output, (states.last_hidden_state * weights).sum(1) / weights.sum(1))


def test_the_encoding_is_its_learned_part_then_the_statistics():
    config = config_of("for_space", encoding_dim=10, learnt_in_encoding=True, wiring_dim=0)
    assert (config.learnt_size, config.encoding_size) == (10, 13)
    model, batch = build(CateModel, config), graphs(config)
    with torch.no_grad():
        output = model(**batch)
        assert torch.equal(output.pooler_output[:, 10:], output.statistics)
        model.pooler.shift += 1.0
        model.pooler.scale *= 2.0
        moved = model(**batch)
    assert torch.equal(moved.statistics, output.statistics)
    torch.testing.assert_close(moved.pooler_output[:, :10], (output.pooler_output[:, :10] - 1.0) * 2.0)
    alone = build(CateModel, config_of("for_space", statistics_in_encoding=False, wiring_dim=0))
    with torch.no_grad():
        output = alone(**batch)
    assert output.pooler_output.shape == (4, 64)
    assert output.statistics.shape == (4, 3)


def test_the_default_encoding_is_the_statistics_then_the_wiring():
    config = config_of("for_space")
    assert config.encoding_parts == {"computation": slice(0, 3), "wiring": slice(3, 131)}
    model, batch = build(CateModel, config), graphs(config)
    with torch.no_grad():
        output = model(**batch)
    assert output.pooler_output.shape == (4, 131)
    assert torch.equal(output.pooler_output[:, :3], output.statistics)
    all_parts = config_of("for_space", learnt_in_encoding=True)
    assert list(all_parts.encoding_parts) == ["learned", "computation", "wiring"]
    assert all_parts.encoding_size == 64 + 3 + 128


def test_the_scale_of_an_encoding_survives_saving(tmp_path):
    model = build(CateForPreTraining, config_of("for_space"))
    model.cate.pooler.shift.fill_(0.25)
    model.cate.pooler.scale.fill_(3.0)
    model.save_pretrained(tmp_path)
    for loaded in (
        CateModel.from_pretrained(tmp_path).pooler,
        CateForPreTraining.from_pretrained(tmp_path).cate.pooler,
    ):
        assert torch.equal(loaded.shift, torch.full((64,), 0.25))
        assert torch.equal(loaded.scale, torch.full((64,), 3.0))


def test_unknown_statistics_are_left_out_of_the_loss():
    predicted = torch.tensor([[0.5, 2.0], [1.0, 7.0]], requires_grad=True)
    total, count = statistics_loss(predicted, torch.tensor([[0.0, 0.0], [1.0, float("nan")]]))
    assert count.item() == 3
    assert total.item() == pytest.approx(0.5 * 0.25 + 1.5)
    total.backward()
    assert predicted.grad.tolist() == [[0.5, 1.0], [0.0, 0.0]]


def test_the_two_parts_of_the_loss_are_weighted():
    plain = config_of("for_space")
    weighted = config_of("for_space", masked_loss_weight=0.5, statistics_loss_weight=2.0)
    batch = inputs_for(CateForPreTraining, plain)
    with torch.no_grad():
        one, other = (build(CateForPreTraining, config)(**batch) for config in (plain, weighted))
        assert one.loss == one.masked_loss + one.statistics_loss
        torch.testing.assert_close(other.loss, 0.5 * one.masked_loss + 2 * one.statistics_loss)
        unmasked = build(CateForPreTraining, config_of("for_space", masked_loss_weight=0.0))(**batch)
    assert unmasked.logits is None
    assert unmasked.masked_loss is None
    torch.testing.assert_close(unmasked.loss, one.statistics_loss)
    with pytest.raises(ValueError, match="give pairs"):
        build(CateForPreTraining, plain)()


def test_wrong_inputs_are_named():
    config = config_of("for_space")
    model, batch = build(CateModel, config), graphs(config)
    with pytest.raises(ValueError, match=r"adjacency .B, L, L. is required"):
        model(batch["input_ids"])
    with pytest.raises(ValueError, match=r"adjacency must be .B, L, L."):
        model(batch["input_ids"], adjacency=batch["adjacency"][:, :5])
    with pytest.raises(ValueError, match="exactly one of input_ids and inputs_embeds"):
        model(adjacency=batch["adjacency"])
    pair_model, pair = build(CateForPreTraining, config), graphs(config, length=8)
    with pytest.raises(ValueError, match="padded to one length"):
        pair_model(**batch, **{f"pair_{k}": v for k, v in pair.items()})


@PRESETS
def test_exports(preset):
    config = config_of(preset)
    model = build(CateModel, config, attn_implementation="sdpa")
    batch = graphs(config)
    exported = torch.export.export(model, (), batch)
    with torch.no_grad():
        torch.testing.assert_close(
            exported.module()(**batch)["pooler_output"], model(**batch).pooler_output, atol=1e-5, rtol=0
        )
