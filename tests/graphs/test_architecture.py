import copy
import itertools
import json
import pickle
import subprocess
import sys

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cate_hf import Architecture
from cate_hf.graphs import from_networkx
from tests.strategies import VOCABULARY, architectures, redrawings

relaxed = settings(deadline=None, max_examples=60)

RESIDUAL = Architecture(["input", "conv3x3", "conv3x3", "output"], [[0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1], [0] * 4])


def chain(*names):
    return Architecture(["input", *names, "output"], np.eye(len(names) + 2, k=1, dtype=int))


class TestConstruction:
    def test_attributes(self):
        assert RESIDUAL.operations == ("input", "conv3x3", "conv3x3", "output")
        assert RESIDUAL.adjacency.dtype == np.uint8
        assert (len(RESIDUAL), RESIDUAL.num_nodes, RESIDUAL.num_edges) == (4, 4, 4)
        assert RESIDUAL.edges == [(0, 1), (0, 3), (1, 2), (2, 3)]
        assert repr(RESIDUAL) == ("Architecture(0 input, 1 conv3x3, 2 conv3x3, 3 output; edges 0->1, 0->3, 1->2, 2->3)")

    def test_immutable(self):
        source = np.triu(np.ones((3, 3), dtype=np.uint8), 1)
        arch = Architecture(["a", "b", "c"], source)
        source[0, 1] = 0
        assert arch.adjacency[0, 1] == 1
        with pytest.raises(AttributeError, match="immutable"):
            arch.operations = ("x",)
        with pytest.raises(AttributeError, match="immutable"):
            arch._adjacency = source
        with pytest.raises(AttributeError, match="immutable"):
            del arch._operations
        with pytest.raises(ValueError, match="read-only"):
            arch.adjacency[0, 1] = 0
        with pytest.raises(ValueError, match="WRITEABLE"):
            arch.adjacency.setflags(write=True)

    @pytest.mark.parametrize("kind", [bool, np.int64, np.uint8, list, tuple])
    def test_kinds_of_matrices(self, kind):
        matrix = RESIDUAL.adjacency.tolist() if kind is list else RESIDUAL.adjacency
        matrix = tuple(map(tuple, matrix)) if kind is tuple else matrix
        matrix = matrix.astype(kind) if isinstance(matrix, np.ndarray) else matrix
        assert Architecture(RESIDUAL.operations, matrix) == RESIDUAL

    @pytest.mark.parametrize(
        ("operations", "adjacency", "message"),
        [
            ([], [], "at least 2 nodes are needed, input and output, got 0"),
            (["a"], [[0]], "at least 2 nodes are needed, input and output, got 1"),
            ("ab", [[0, 1], [0, 0]], "operations must be a list of names, got 'ab'"),
            (None, [[0, 1], [0, 0]], "operations must be a list of names, got None"),
            (["a", 3], [[0, 1], [0, 0]], "operation of node 1 must be a name, got 3"),
            (["a", ""], [[0, 1], [0, 0]], "operation of node 1 must be a name, got ''"),
            (["a", "b"], None, "adjacency must be a list of rows, got None"),
            (["a", "b"], {"x": 1}, "adjacency must be a list of rows"),
            (["a", "b"], [0, 1], "adjacency row 0 must be a list of 0 and 1, got 0"),
            (["a", "b"], [[0, 1], [0]], "adjacency row 1 has 1 entries, expected 2"),
            (["a", "b"], [[0, 1, 0], [0, 0, 0]], "2 operations need a 2 x 2 adjacency matrix, got 2 x 3"),
            (["a", "b", "c"], [[0, 1], [0, 0]], "3 operations need a 3 x 3 adjacency matrix, got 2 x 2"),
            (["a", "b"], np.zeros((2, 2, 2), int), "2 operations need a 2 x 2 adjacency matrix, got 2 x 2 x 2"),
            (["a", "b"], [[0, float("nan")], [0, 0]], r"adjacency\[0\]\[1\] is nan \(float\), expected integer 0 or 1"),
            (["a", "b"], [[0, 0.5], [0, 0]], r"adjacency\[0\]\[1\] is 0.5 \(float\)"),
            (["a", "b"], [["0", "1"], ["0", "0"]], r"adjacency\[0\]\[0\] is '0' \(str\)"),
            (["a", "b"], [[0, None], [0, 0]], r"adjacency\[0\]\[1\] is None \(NoneType\)"),
            (["a", "b"], [[0, 2], [0, 0]], r"adjacency\[0\]\[1\] is 2, expected 0 or 1"),
            (["a", "b"], [[0, -1], [0, 0]], r"adjacency\[0\]\[1\] is -1, expected 0 or 1"),
            (["a", "b"], [[0, 256], [0, 0]], r"adjacency\[0\]\[1\] is 256, expected 0 or 1"),
            (["a", "b"], [[0, 2**70], [0, 0]], r"adjacency\[0\]\[1\] is 1180591620717411303424, expected 0 or 1"),
            (["a", "b"], [[0, 1], [0, 1]], "node 1 has an edge to itself, 1 -> 1"),
            (["a", "b"], [[0, 1], [1, 0]], "cycle 0 -> 1 -> 0; the graph must be acyclic"),
            (list("abcd"), [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 1, 0, 0]], "cycle 1 -> 2 -> 3 -> 1;"),
            (list("abcd"), [[0, 1, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0], [0] * 4], "edge 2 -> 1 goes backward"),
        ],
    )
    def test_errors_name_what_is_wrong(self, operations, adjacency, message):
        with pytest.raises(ValueError, match=message) as caught:
            Architecture(operations, adjacency)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 160

    @relaxed
    @given(architectures(), architectures())
    def test_equality_and_hash(self, first, second):
        again = Architecture(list(first.operations), first.adjacency.tolist())
        assert again == first
        assert len({again, first}) == 1
        assert (first == second) == (first.to_dict() == second.to_dict())
        assert first != first.to_dict()

    def test_import_is_light(self):
        code = "import cate_hf.graphs.architecture, sys; print(*sys.modules)"
        modules = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
        assert "numpy" in modules
        assert not {"torch", "transformers", "networkx", "matplotlib", "scipy", "pyarrow"} & set(modules)


class TestPersistence:
    @relaxed
    @given(architectures())
    def test_round_trips(self, arch):
        assert Architecture.from_dict(arch.to_dict()) == arch
        assert Architecture.from_json(arch.to_json()) == arch
        assert from_networkx(arch.to_networkx()) == arch
        assert pickle.loads(pickle.dumps(arch)) == arch
        assert copy.deepcopy(arch) == arch
        assert "\n" not in arch.to_json()

    def test_further_keys_are_ignored(self):
        assert Architecture.from_dict({**RESIDUAL.to_dict(), "accuracy": 0.9}) == RESIDUAL

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('{"operations": ["a", "b"]', "not valid JSON"),
            ('["a"]', "expected an object with 'operations' and 'adjacency', got list"),
            ('{"operations": ["a", "b"]}', "field 'adjacency' is missing"),
            ('{"adjacency": [[0]]}', "field 'operations' is missing"),
            ('{"operations": ["a", "b"], "adjacency": [[0, NaN], [0, 0]]}', r"adjacency\[0\]\[1\] is nan"),
        ],
    )
    def test_bad_json(self, text, message):
        with pytest.raises(ValueError, match=message):
            Architecture.from_json(text)

    def test_dict_is_plain_json(self):
        assert json.loads(json.dumps(RESIDUAL.to_dict())) == RESIDUAL.to_dict()


class TestPruneAndClosure:
    def test_prune_removes_dangling_nodes(self):
        # 1 leads nowhere, nothing leads to 2, 3 is on the path.
        edges = [[0, 1, 0, 1, 0], [0, 0, 0, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1], [0] * 5]
        arch = Architecture(["input", "a", "b", "c", "output"], edges)
        assert arch.prune() == chain("c")

    def test_prune_without_a_path(self):
        with pytest.raises(ValueError, match="no path from the input, node 0, to the output, node 2"):
            Architecture(["input", "a", "output"], [[0, 1, 0], [0, 0, 0], [0, 0, 0]]).prune()

    def test_prune_with_two_inputs_keeps_both(self):
        arch = Architecture(["i", "j", "a", "b", "o"], [[0] * 5, [0, 0, 1, 1, 0], [0] * 5, [0, 0, 0, 0, 1], [0] * 5])
        pruned = arch.prune(num_inputs=2)
        assert pruned.operations == ("i", "j", "b", "o")
        assert pruned.edges == [(1, 2), (2, 3)]
        with pytest.raises(ValueError, match="num_inputs must be 1 to 4, not 5"):
            arch.prune(num_inputs=5)

    @relaxed
    @given(architectures())
    def test_prune_against_networkx(self, arch):
        graph, last = arch.to_networkx(), arch.num_nodes - 1
        keep = ({0} | networkx.descendants(graph, 0)) & ({last} | networkx.ancestors(graph, last))
        if not networkx.has_path(graph, 0, last):
            with pytest.raises(ValueError, match="no path"):
                arch.prune()
            return
        pruned = arch.prune()
        assert pruned == from_networkx(graph.subgraph(sorted(keep)))
        assert pruned.prune() == pruned
        assert pruned.paths() == arch.paths()

    @relaxed
    @given(architectures())
    def test_closure_against_networkx(self, arch):
        expected = networkx.to_numpy_array(networkx.transitive_closure_dag(arch.to_networkx()))
        assert np.array_equal(arch.closure(), expected)
        assert np.array_equal(arch.closure(direction="ancestors"), expected.T)

    def test_closure_direction(self):
        with pytest.raises(ValueError, match="direction must be 'descendants' or 'ancestors', not 'up'"):
            RESIDUAL.closure(direction="up")


class TestIsomorphism:
    @relaxed
    @given(st.data())
    def test_redrawings(self, data):
        arch = data.draw(architectures())
        other = data.draw(redrawings(arch))
        assert arch.is_isomorphic(other)
        assert arch.hash() == other.hash()
        assert arch.edit_distance(other) == 0

    @relaxed
    @given(architectures(max_nodes=5), architectures(max_nodes=5))
    def test_against_distance(self, first, second):
        assert first.is_isomorphic(second) == (first.edit_distance(second) == 0)

    def test_same_degrees_and_operations_but_different(self):
        # Input -> all of a b a b; the pairs a -> b and a -> b against a -> b -> ... crossed into one chain.
        names = ["input", "a", "b", "a", "b", "output"]
        pairs = np.zeros((6, 6), int)
        pairs[0, 1:5] = pairs[1:5, 5] = 1
        first, second = pairs.copy(), pairs.copy()
        first[1, 2] = first[3, 4] = 1
        second[1, 2] = second[1, 4] = 1
        assert not Architecture(names, first).is_isomorphic(Architecture(names, second))

    def test_hash_with_labels(self):
        labels = {"input": -1, "conv3x3": 0, "output": -2}
        assert RESIDUAL.hash(labels) != RESIDUAL.hash()
        assert chain("conv3x3").hash(labels) == chain("other").hash({**labels, "other": 0})
        with pytest.raises(ValueError, match="no label for operation 'conv3x3' of node 1; known: 'input'"):
            RESIDUAL.hash({"input": -1})


class TestPaths:
    def test_strings(self):
        assert RESIDUAL.paths() == ["input|conv3x3|conv3x3|output", "input|output"]

    @relaxed
    @given(architectures())
    def test_against_networkx(self, arch):
        found = networkx.all_simple_paths(arch.to_networkx(), 0, arch.num_nodes - 1)
        assert arch.paths() == sorted({"|".join(arch.operations[n] for n in path) for path in found})

    def test_inputs(self):
        arch = Architecture(["i", "j", "o"], [[0, 0, 1], [0, 0, 1], [0, 0, 0]])
        assert arch.paths() == ["i|o"]
        assert arch.paths(num_inputs=2) == ["i|o", "j|o"]

    def test_too_many(self):
        full = Architecture(["input", *["a"] * 58, "output"], np.triu(np.ones((60, 60), int), 1))
        with pytest.raises(ValueError, match=r"288,230,376,151,711,744 paths .* more than the limit of 100,000"):
            full.paths()


class TestEditDistance:
    @pytest.mark.parametrize(
        ("first", "second", "distance"),
        [
            (chain("a"), chain("a"), 0),
            (chain("a"), chain("b"), 1),  # one operation
            (chain("a", "b"), chain("b", "a"), 2),  # two operations
            (chain(), chain("a"), 4),  # a node, two edges, and the direct edge goes
            (chain("a"), RESIDUAL, 6),  # a node, a substitution, an edge less and three more
            (RESIDUAL, chain("conv3x3", "conv3x3"), 1),  # an edge
        ],
    )
    def test_by_hand(self, first, second, distance):
        assert first.edit_distance(second) == distance

    def test_ends_keep_their_roles(self):
        assert Architecture(["a", "b"], [[0, 1], [0, 0]]).edit_distance(Architecture(["b", "a"], [[0, 1], [0, 0]])) == 2

    def test_inputs_are_matched_in_order(self):
        first = Architecture(["i", "j", "o"], [[0, 0, 1], [0, 0, 0], [0, 0, 0]])
        second = Architecture(["i", "j", "o"], [[0, 0, 0], [0, 0, 1], [0, 0, 0]])
        assert first.edit_distance(second, num_inputs=2) == 2

    @settings(deadline=None, max_examples=25)
    @given(architectures(max_nodes=5), architectures(max_nodes=5))
    def test_against_networkx(self, first, second):
        from cate_hf.graphs.algorithms import _edit_distance_networkx

        assert first.edit_distance(second) == _edit_distance_networkx(first, second, 1, 60.0)

    @relaxed
    @given(architectures(max_nodes=6), architectures(max_nodes=6), architectures(max_nodes=6))
    def test_is_a_metric(self, a, b, c):
        assert a.edit_distance(b) == b.edit_distance(a) >= 0
        assert a.edit_distance(c) <= a.edit_distance(b) + b.edit_distance(c)

    @relaxed
    @given(architectures(), st.data())
    def test_one_edge_and_one_operation(self, arch, data):
        i, j = data.draw(st.sampled_from(list(itertools.combinations(range(arch.num_nodes), 2))))
        flipped = arch.adjacency.copy()
        flipped[i, j] ^= 1
        assert arch.edit_distance(Architecture(arch.operations, flipped)) == 1
        if arch.num_nodes > 2:
            node = data.draw(st.integers(1, arch.num_nodes - 2))
            names = list(arch.operations)
            names[node] = VOCABULARY[1] if names[node] != VOCABULARY[1] else VOCABULARY[2]
            assert arch.edit_distance(Architecture(names, arch.adjacency)) == 1

    def test_large_graphs(self):
        long = chain(*"abcdefghijk")
        other = chain(*"abcdeXghijk")
        assert long.edit_distance(other, timeout_seconds=2.0) == 1


class TestNetworkx:
    def test_order_is_topological_and_deterministic(self):
        graph = networkx.DiGraph()
        graph.add_node("end", operation="output")
        graph.add_node("start", operation="input")
        graph.add_node("right", operation="b")
        graph.add_node("left", operation="a")
        graph.add_edges_from([("start", "left"), ("start", "right"), ("left", "end"), ("right", "end")])
        assert from_networkx(graph).operations == ("input", "b", "a", "output")

    def test_errors(self):
        graph = networkx.DiGraph([("x", "y"), ("y", "z"), ("z", "y")])
        with pytest.raises(ValueError, match="node 'x' has no attribute 'operation'"):
            from_networkx(graph)
        networkx.set_node_attributes(graph, "conv", "operation")
        with pytest.raises(ValueError, match="cycle 'y' -> 'z' -> 'y'"):
            from_networkx(graph)
        with pytest.raises(ValueError, match=r"expected a networkx.DiGraph, got Graph"):
            from_networkx(networkx.Graph())
        with pytest.raises(ValueError, match=r"expected a networkx.DiGraph, got MultiDiGraph"):
            from_networkx(networkx.MultiDiGraph())
        with pytest.raises(ValueError, match="at least 2 nodes"):
            from_networkx(networkx.DiGraph())
