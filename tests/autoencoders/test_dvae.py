"""D-VAE beside one graph at a time, node by node and edge by edge as the paper describes it."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from cate_hf.autoencoders._dvae_model import DVaeConfig, DVaeModel
from cate_hf.autoencoders._graphs import GraphBatch, GraphShape, as_architectures
from cate_hf.graphs.table import ArchitectureTable
from tests.autoencoders.test_vae_graphs import renumbered
from tests.encodings.conftest import space_of

SPACES = ("tiny", "two-inputs", "nasbench101", "nasbench201", "chain")


def small(name: str, **settings) -> DVaeModel:
    torch.manual_seed(0)
    config = DVaeConfig(**({"hidden_size": 12, "latent_size": 5, "edge_size": 10} | settings))
    model = DVaeModel(config, GraphShape.of(space_of(name)))
    with torch.no_grad():
        for parameter in model.parameters():  # larger than at first, so that what differs shows
            parameter.copy_(torch.randn_like(parameter) * 0.4)
    return model.eval()


def graphs_of(name: str, table: ArchitectureTable) -> GraphBatch:
    return GraphBatch.from_table(table, GraphShape.of(space_of(name)))


def message(module, state, position=None):
    gate, value = module.gate(state), module.map(state)
    if position is not None:
        gate, value = gate + module.gate_position[position], value + module.map_position[position]
    return torch.sigmoid(gate) * value


def one_hot(model, kind):
    return F.one_hot(torch.tensor([kind]), model.shape.operations + 2).float()


def slow_states(model, space, architecture, backward=False):
    kinds = [space.vocabulary.index(name) for name in architecture.operations]
    cell = model.backward_cell if backward else model.forward_cell
    sender = model.backward_messages if backward else model.forward_messages
    edges, states = architecture.edges, {}
    order = range(len(kinds))
    for node in reversed(order) if backward else order:
        before = [y for x, y in edges if x == node] if backward else [x for x, y in edges if y == node]
        received = torch.zeros(1, model.config.hidden_size)
        for other in before:
            received = received + message(sender, states[other], other if model.config.vertex_ids else None)
        states[node] = cell(one_hot(model, kinds[node]), received)
    return states


def slow_mean(model, space, architecture):
    state = slow_states(model, space, architecture)[architecture.num_nodes - 1]
    if model.config.bidirectional:
        states = slow_states(model, space, architecture, backward=True)
        back = states[0]
        if space.num_inputs > 1:
            received = torch.zeros(1, model.config.hidden_size)
            for node in range(space.num_inputs):
                received += message(model.backward_messages, states[node], node if model.config.vertex_ids else None)
            back = model.backward_cell(one_hot(model, model.shape.operations + 1), received)
        state = model.unify(torch.cat([state, back], 1))
    return model.mean(state)


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("settings", [{}, {"vertex_ids": True}, {"bidirectional": False}])
def test_a_batch_is_encoded_as_its_graphs_one_by_one(name, settings):
    space, model = space_of(name), small(name, **settings)
    table = space.pool()[::7][:20]
    with torch.inference_mode():
        expected = torch.cat([slow_mean(model, space, architecture) for architecture in table])
        torch.testing.assert_close(model.encode(graphs_of(name, table)), expected, atol=1e-5, rtol=1e-4)


def at(model, kind, position):
    """The decoder's input: type and position."""
    return torch.cat([one_hot(model, kind), F.one_hot(torch.tensor([position]), model.shape.max_nodes).float()], 1)


def edge_logit(model, before, state, start):
    hidden = model.edge_from(before) + model.edge_to(state) + model.edge_start(start)
    return model.edge_score(F.relu(hidden))[0, 0]


def slow_likelihood(model, space, architecture, latent):
    """Log-likelihood of a graph, one choice after the other."""
    kinds = [space.vocabulary.index(name) for name in architecture.operations]
    start, states, total = torch.tanh(model.start(latent)), [], torch.zeros(())
    for node, kind in enumerate(kinds):
        if node < space.num_inputs:
            states.append(model.decoder_cell(at(model, kind, node), start))
            continue
        if node < space.max_nodes - 1:
            logits = model.next_type(torch.cat([states[-1], start], 1))[0]
            total = total + logits.log_softmax(0)[kind - space.num_inputs]
        received = torch.zeros(1, model.config.hidden_size)
        state = model.decoder_cell(at(model, kind, node), received)
        for other in range(node - 1, -1, -1):
            logit = edge_logit(model, states[other], state, start)
            there = bool(architecture.adjacency[other, node])
            total = total + F.logsigmoid(logit if there else -logit)
            if there:
                received = received + message(model.decoder_messages, states[other], other)
            state = model.decoder_cell(at(model, kind, node), received)
        states.append(state)
    return total


@pytest.mark.parametrize("name", SPACES)
def test_teacher_forcing_gives_the_likelihood_of_one_choice_after_the_other(name):
    space, model = space_of(name), small(name)
    table = space.pool()[::11][:8]
    with torch.inference_mode():
        latent = torch.randn(len(table), model.dim)
        expected = [
            slow_likelihood(model, space, architecture, latent[row : row + 1]) for row, architecture in enumerate(table)
        ]
        found = model._reconstruction(latent, graphs_of(name, table))
        torch.testing.assert_close(found, -torch.stack(expected).sum(), atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("name", SPACES)
def test_the_most_probable_choices_are_those_of_the_likelihood(name):
    """A decoded graph has no better neighbour by the first choice that differs: each choice was the likelier one."""
    space, model = space_of(name), small(name)
    with torch.inference_mode():
        latent = torch.randn(6, model.dim)
        decoded = model.decode(latent)
        for row in range(6):
            start, states = torch.tanh(model.start(latent[row : row + 1])), []
            adjacency, kinds = decoded.adjacency[row], decoded.types[row].tolist()
            for node in range(int(decoded.num_nodes[row])):
                if node < space.num_inputs:
                    states.append(model.decoder_cell(at(model, node, node), start))
                    continue
                if node < space.max_nodes - 1:
                    logits = model.next_type(torch.cat([states[-1], start], 1))[0]
                    assert kinds[node] == int(logits.argmax()) + space.num_inputs
                received = torch.zeros(1, model.config.hidden_size)
                state = model.decoder_cell(at(model, kinds[node], node), received)
                is_output = kinds[node] == model.shape.output
                for other in range(node - 1, -1, -1):
                    chosen = bool(edge_logit(model, states[other], state, start) > 0)
                    loose = is_output and other >= space.num_inputs and not adjacency[other, :node].any()
                    assert bool(adjacency[other, node]) == (chosen or loose)
                    if chosen:
                        received = received + message(model.decoder_messages, states[other], other)
                    state = model.decoder_cell(at(model, kinds[node], node), received)
                states.append(state)


@pytest.mark.parametrize("name", SPACES)
def test_drawn_graphs_are_whole(name):
    space, model = space_of(name), small(name)
    shape = model.shape
    with torch.inference_mode():
        latent = torch.randn(300, model.dim)
        first = model.decode(latent, torch.Generator().manual_seed(1))
        again = model.decode(latent, torch.Generator().manual_seed(1))
        other = model.decode(latent, torch.Generator().manual_seed(2))
    assert first.same_as(again).all()
    assert not first.same_as(other).all()
    for kinds, adjacency, nodes in zip(first.types, first.adjacency, first.num_nodes.tolist(), strict=True):
        assert kinds[: shape.num_inputs].tolist() == list(range(shape.num_inputs))
        assert kinds[nodes - 1] == shape.output
        assert (kinds[shape.num_inputs : nodes - 1] >= shape.num_inputs).all()
        assert (kinds[shape.num_inputs : nodes - 1] < shape.output).all()
        assert (kinds[nodes:] == shape.no_node).all()
        assert adjacency[:nodes, :nodes].sum() == adjacency.sum() == torch.triu(adjacency, 1).sum()
        assert adjacency[shape.num_inputs : nodes - 1].any(1).all()  # none leads nowhere
    as_architectures(space, first)


def test_isomorphic_drawings_share_a_vector_without_vertex_ids():
    space = space_of("nasbench101")
    table = space.pool()
    cells = list(table[np.flatnonzero(table.num_nodes == 7)[:400:20]])
    others = [renumbered(cell, seed) for seed, cell in enumerate(cells)]
    assert sum(cell != other for cell, other in zip(cells, others, strict=True)) > 5
    for ids in (False, True):
        model = small("nasbench101", vertex_ids=ids)
        with torch.inference_mode():
            a, b = (model.encode(graphs_of("nasbench101", space.table(both))) for both in (cells, others))
        assert torch.allclose(a, b, atol=1e-5) == (not ids)


def test_the_loss_is_that_of_the_noisy_posterior_and_its_divergence():
    model = small("nasbench201", noise=0.0, kl_weight=0.3)
    graphs = graphs_of("nasbench201", space_of("nasbench201").pool()[:10])
    with torch.inference_mode():
        mean, deviation = model.posterior(graphs)
        posterior = torch.distributions.Normal(mean, deviation)
        standard = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
        divergence = torch.distributions.kl_divergence(posterior, standard).sum()
        expected = (model._reconstruction(mean, graphs) + 0.3 * divergence) / 10
        torch.testing.assert_close(model.loss(graphs), expected, rtol=1e-4, atol=1e-4)
