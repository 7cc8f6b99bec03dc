import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cate_hf import Architecture, get_space
from cate_hf.graphs import from_dot, to_dot
from tests.strategies import architectures

relaxed = settings(deadline=None, max_examples=150)

# Written as people write DOT: comments, defaults that change on the way, a subgraph with its own, ports, chains,
# several edges at once, and each kind of quoting.
RESIDUAL = """
# a line for the preprocessor
strict digraph "a cell" {
    graph [rankdir=LR]; label = "not an operation"
    node [shape=box, operation=conv3x3]  // from here on
    edge [color="#ff0000"]
    "in put" [operation=input]
    "in put":out -> a:n -> b:west:s;
    subgraph cluster_pools { node [operation=maxpool]; p1; p2 [operation="avg" + "pool"] }
    "in put" -> { p1 p2 } -> add [weight=2]
    b -> add -> out /* the
    end */
    add [operation="add"]; out [operation=<<b>out</b>put>];
}
"""


def plain(arch: Architecture) -> set[tuple[str, str]]:
    """Edges by operation, for graphs in which each operation appears once."""
    return {(arch.operations[i], arch.operations[j]) for i, j in arch.edges}


class TestRoundTrip:
    @relaxed
    @given(architectures(max_nodes=9))
    def test_any_graph(self, arch):
        assert from_dot(to_dot(arch)) == arch

    @relaxed
    @given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=2, max_size=4))
    @example(["a\\", 'a"', '\\"', "\\N", "\\l", "a\nb", "a\\\nb", "\r\n", " ", "{", "<b>", "//", "\x00", "ü", "node"])
    def test_any_names(self, names):
        arch = Architecture(names, np.eye(len(names), k=1, dtype=int))
        assert from_dot(to_dot(arch)) == arch

    def test_by_file(self, tmp_path):
        cell = get_space("nasbench101").sample(1, seed=3)[0]
        for encoding in ("utf-8", "utf-8-sig"):
            (tmp_path / "cell.dot").write_text(to_dot(cell), encoding=encoding)
            assert from_dot(tmp_path / "cell.dot") == cell
            assert from_dot(str(tmp_path / "cell.dot")) == cell

    def test_the_largest_graph(self):
        arch = Architecture(["node"] * 254, np.triu(np.ones((254, 254), dtype=int), 1))
        assert from_dot(to_dot(arch)) == arch


class TestReading:
    def test_as_people_write_it(self):
        arch = from_dot(RESIDUAL)
        assert arch.operations == ("input", "conv3x3", "conv3x3", "maxpool", "avgpool", "add", "output")
        assert arch.edges == [(0, 1), (0, 3), (0, 4), (1, 2), (2, 5), (3, 5), (4, 5), (5, 6)]

    def test_operation_label_or_name(self):
        text = 'digraph { a [operation=x, label=y, kind=z]; b [label="conv 3\\nx3\\l"]; a -> b -> c }'
        assert from_dot(text).operations == ("x", "conv 3\nx3", "c")
        assert from_dot(text, label="kind").operations == ("z", "conv 3\nx3", "c")

    def test_defaults_hold_for_nodes_made_after_them(self):
        text = "digraph { a; node [label=x]; a -> b; { node [label=y]; b -> c }; c -> d; d [label=z] d [shape=box] }"
        assert from_dot(text).operations == ("a", "x", "y", "z")

    def test_quoted_or_not_is_one_node(self):
        assert from_dot('DiGraph { a -> "b"; "a" -> b; b -> 1.5; "1.5" -> -2 }').num_nodes == 4
        assert plain(from_dot('digraph { "node" -> "a:b" -> "->"; }')) == {("node", "a:b"), ("a:b", "->")}
        assert from_dot('digraph { node1 -> nodes -> "x\\\ny" }').operations[2] == "xy"

    def test_order(self):
        # Of the nodes that could come next the one named first; the output last.
        arch = from_dot("digraph { out; b; a; a -> b -> out; c -> out }")
        assert arch.operations == ("a", "b", "c", "out")

    def test_part_between_two_nodes(self):
        text = "digraph { i -> a -> b -> o; i -> c -> o; b -> dead; a -> o2 }"
        assert plain(from_dot(text, start="a", end="o")) == {("a", "b"), ("b", "o")}
        assert plain(from_dot(text, end="b")) == {("i", "a"), ("a", "b")}
        assert plain(from_dot(text, start=["c"])) == {("c", "o")}
        assert plain(from_dot(text, start=["b", "c"], end="o")) == {("b", "o"), ("c", "o")}

    def test_deep_subgraphs_take_no_longer(self):
        # A parser that tries the inner part again at each level would need 2^60 steps here.
        text = "digraph { a -> b" + "{ subgraph x { node [label=n]; " * 30 + "b -> c" + "}}" * 30 + "c -> d }"
        assert from_dot(text).operations == ("a", "b", "n", "d")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected digraph, found the end"),
        ("{", "line 1: expected digraph, found '{'"),
        ("digraph {}", "the graph has no node"),
        ("digraph { node [label=x] }", "the graph has no node"),
        ("digraph { a }", "a single node"),
        ("graph { a -- b }", "line 1: an undirected graph; expected digraph"),
        ("digraph {\n a -- b }", "line 2: an undirected edge --; expected ->"),
        ("digraph { a -> b -> c -> b }", "cycle 'b' -> 'c' -> 'b'; the graph must be acyclic"),
        ("digraph { a -> a }", "a single node"),
        ("digraph { a -> b -> b }", "cycle 'b' -> 'b'"),
        ("digraph { a -> b; a -> c }", "2 output nodes, 'b', 'c'; name one by end or by the graph's attribute output"),
        ("digraph { output=a; a -> b; a -> c }", "2 output nodes"),
        ("digraph { a -> {b c d e f g h} }", "7 output nodes, 'b', 'c', 'd', 'e', 'f', ...;"),
        ("digraph { a -> b", "line 1: expected a name, found the end"),
        ("digraph { a -> b } digraph { c }", "line 1: expected the end after the graph, found 'digraph'"),
        ("digraph {\n\n a -> ; }", "line 3: expected a name, found ';'"),
        ("digraph { a -> edge }", "expected a name, found 'edge'"),
        ("digraph { a [label=] }", "expected a name, found ']'"),
        ("digraph { a [label=x }", "expected a name, found '}'"),
        ("digraph { a -> b ]", "expected a name, found ']'"),
        ('digraph { a [label="x] }', "line 1: a quoted text without its end"),
        ('digraph { "a" + b }', "expected a quoted text after"),
        ("digraph { a [label=<x] }", "line 1: < without its >"),
        ("digraph { a /* -> b }", "line 1: a comment without its end"),
        ("digraph { 3x3 -> b }", "line 1: '3x3' must be put in quotes"),
        ("digraph { a.b -> c }", "line 1: '.b' must be put in quotes"),
        ("digraph { conv-3x3 -> b }", "line 1: '-3x3' must be put in quotes"),
        ('digraph { a [label=""]; a -> b }', "node 'a': the operation must be a name, got ''"),
        ("digraph {" + "{" * 200 + "}" * 200 + "}", "subgraphs are nested more than 100 deep"),
        (
            "digraph { {" + (block := " ".join(f"a{i}" for i in range(2000))) + "} -> {" + block + "} }",
            "4,000,000 edges",
        ),
        ("digraph {" + ";".join(f"a{i} -> a{i + 1}" for i in range(1024)) + "}", "1,025 nodes, .* at most 1024"),
        ("\x89PNG {", "must be put in quotes|expected digraph"),
    ],
)
def test_errors_are_one_line(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        from_dot(text if "{" in text or not text else text + "{")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_errors_of_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        from_dot(tmp_path / "absent.dot")
    with pytest.raises(FileNotFoundError, match="not the text of a DOT graph"):
        from_dot("a -> b")
    (tmp_path / "bad.dot").write_bytes(b"digraph { \xff -> b }")
    with pytest.raises(ValueError, match=r"bad.dot: not UTF-8 text"):
        from_dot(tmp_path / "bad.dot")
    (tmp_path / "bad.dot").write_text("digraph {\n a -> b;\n a -> }")
    with pytest.raises(ValueError, match=r"bad.dot: line 3: expected a name"):
        from_dot(tmp_path / "bad.dot")
    with pytest.raises(ValueError, match="expected text or a path, got int"):
        from_dot(3)


def test_errors_of_names():
    text = "digraph { input -> conv1 -> output; input -> conv2 -> output }"
    with pytest.raises(ValueError, match=r"DOT text: no node 'conv3'; did you mean 'conv.'\?"):
        from_dot(text, start="conv3")
    with pytest.raises(ValueError, match="no path leads from 'conv1' to 'conv2'"):
        from_dot(text, start="conv1", end="conv2")
    with pytest.raises(ValueError, match="no path leads from 'conv2' to 'conv1'"):
        from_dot(text, start=["input", "conv2"], end="conv1")
    with pytest.raises(ValueError, match="start must be a name or a list of names, got 3"):
        from_dot(text, start=3)
    with pytest.raises(ValueError, match=r"end must be a name or a list of names, got \[\]"):
        from_dot(text, end=[])


def read_or_refuse(text):
    try:
        arch = from_dot(text)
    except ValueError as error:
        refusal = str(error)
    else:
        refusal = ""
        assert Architecture(arch.operations, arch.adjacency) == arch
    assert "\n" not in refusal


TOKENS = [*'{}[];,=:+"<>#\\\n', "->", "--", "//", "/*", "*/", "a", "b", "1", "-1", " ", "ü"]
TOKENS += ["digraph ", "graph ", "subgraph ", "strict ", "node ", "edge ", "output", "label", "operation"]


@relaxed
@given(st.lists(st.sampled_from(TOKENS)).map(lambda tokens: "digraph {" + "".join(tokens) + "}"))
def test_fuzz_tokens(text):
    read_or_refuse(text)


@relaxed
@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, len(RESIDUAL)), st.integers(0, 8))
def test_fuzz_mutations(text, place, cut):
    read_or_refuse(RESIDUAL[:place] + text + RESIDUAL[place + cut :])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@settings(deadline=None, max_examples=20)
@given(architectures())
def test_pydot_reads_what_is_written(arch):
    pydot = pytest.importorskip("pydot")
    (other,) = pydot.graph_from_dot_data(to_dot(arch))
    labels = {node.get_name(): node.get("label") for node in other.get_nodes() if node.get_name() != "node"}
    assert labels == {str(i): f'"{name}"' for i, name in enumerate(arch.operations)}
    assert [(int(e.get_source()), int(e.get_destination())) for e in other.get_edges()] == arch.edges


IDENTIFIERS = st.sampled_from(["a", "b_1", "conv", '"x y"', '"q\\"r"', "n1", "Z"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@relaxed
@given(
    st.lists(
        st.one_of(
            IDENTIFIERS.map("{};".format),
            st.lists(IDENTIFIERS, min_size=2, max_size=4, unique=True).map(" -> ".join),
            st.tuples(IDENTIFIERS, IDENTIFIERS).map("{0[0]} [label={0[1]}]\n".format),
            st.tuples(IDENTIFIERS, IDENTIFIERS, IDENTIFIERS).map("{0[0]}:p -> {0[1]}:n; {0[2]}\n".format),
        ),
        min_size=1,
    ).map("\n".join)
)
def test_agrees_with_pydot(body):
    """Another reader of DOT finds the same nodes, labels and edges."""
    pydot = pytest.importorskip("pydot")
    from cate_hf.graphs.formats._dot import _Parser

    text = "digraph {\n" + body + "\n}"
    parser = _Parser(text)
    parser.parse()
    (other,) = pydot.graph_from_dot_data(text)

    def name(written):
        written = str(written)
        written = written if written.startswith('"') else written.split(":")[0]
        return written.split('":')[0].strip('"').replace('\\"', '"')

    assert set(parser.edges) == {(name(edge.get_source()), name(edge.get_destination())) for edge in other.get_edges()}
    labels = {}
    for node in other.get_nodes():
        labels.setdefault(name(node.get_name()), {}).update(node.get_attributes())
    for node, attributes in parser.nodes.items():
        assert attributes == labels.get(node, {})
    assert set(labels) <= set(parser.nodes)
