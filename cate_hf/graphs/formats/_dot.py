"""Graphs in DOT, the language of Graphviz (https://graphviz.org/doc/info/lang.html), read and written.

The grammar is read here in one pass, in time linear in the text. (The parser of the package pydot takes twice as long
for each further level of nested subgraphs, and over a second for 250 nodes.)
"""

import html
import os
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from cate_hf.graphs.architecture import Architecture
from cate_hf.graphs.formats._named_graph import Ends, NamedGraph, as_names, unknown_name

SUFFIXES = (".dot", ".gv")
OUTPUT = "output"
"""Attribute of a graph: which of several nodes that lead nowhere is the output."""

_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*|/\*.*?\*/|^\#[^\n]*)
      | (?P<quoted>"(?:[^"\\]|\\.)*")
      | (?P<sign>->|--|[{}\[\];,=:+])
      | (?P<name>(?:[A-Za-z_]|[^\x00-\x7f])(?:\w|[^\x00-\x7f])*)
      | (?P<number>-?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?![\w.]|[^\x00-\x7f]))
    """,
    re.ASCII | re.DOTALL | re.MULTILINE | re.VERBOSE,
)
_BRACKET = re.compile("[<>]")
_IDS = ("name", "number", "quoted", "html")
_KEYWORDS = ("strict", "graph", "digraph", "subgraph", "node", "edge")
_MAX_DEPTH, _MOST_EDGES = 100, 1_000_000


def from_dot(
    text_or_path: str | os.PathLike,
    label: str = "operation",
    start: str | list[str] | None = None,
    end: str | None = None,
) -> Architecture:
    """Return the architecture of a directed graph in DOT; ``from_dot(to_dot(a)) == a``.

    Nodes are numbered as ``from_networkx`` numbers them.

    Args:
        text_or_path: DOT text, or a file of it.
        label: the attribute of a node that is its operation; a node without it has its ``label``, else its name.
        start, end: names of nodes (one end, any number of starts): keep only what is on paths between them.

    Raises:
        ValueError: not DOT (the line is named), undirected, a cycle, several nodes that lead nowhere of which neither
            ``end`` nor the graph's attribute ``output`` names one, no path, or more than 1,024 nodes.
        FileNotFoundError: no such file.
    """
    source, text = _read(text_or_path)
    try:
        parser = _Parser(text)
        parser.parse()
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None
    if not parser.nodes:
        raise ValueError(f"{source}: the graph has no node")
    graph = NamedGraph(source)
    for name, attributes in parser.nodes.items():
        graph.add(name, _operation(name, attributes, label))
    for edge in parser.edges:
        graph.connect(*edge)

    starts, ends = as_names(start, "start", source), as_names(end, "end", source)
    for name in (*(starts or ()), *(ends or ())):
        if name not in graph.graph:
            raise unknown_name(source, "node", name, graph.graph)
    if starts or ends:
        inputs = starts or [name for name, degree in graph.graph.in_degree if degree == 0]
        outputs = ends or [name for name, degree in graph.graph.out_degree if degree == 0]
        graph.keep_between(Ends(inputs, starts, "the inputs"), Ends(outputs, ends, "the output"))
    return graph.architecture(_output(graph, parser.attributes))


def _read(text_or_path: str | os.PathLike) -> tuple[str, str]:
    """What errors call the graph, and its text."""
    if isinstance(text_or_path, str) and ("{" in text_or_path or not text_or_path.strip()):
        return "DOT text", text_or_path
    if not isinstance(text_or_path, (str, os.PathLike)):
        raise ValueError(f"DOT: expected text or a path, got {type(text_or_path).__name__}")
    path = Path(text_or_path)
    if not path.is_file():
        raise FileNotFoundError(f"{str(path)!r}: no such file, and not the text of a DOT graph, which has braces")
    try:
        return str(path), path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text ({error})") from None


def _output(graph: NamedGraph, attributes: dict[str, str]) -> str:
    """The one node that leads nowhere, or which of several the graph's attribute names."""
    sinks = [name for name, degree in graph.graph.out_degree if degree == 0]
    if len(sinks) > 1 and (named := _unquoted(attributes.get(OUTPUT, ""))) in sinks:
        return named
    if len(sinks) > 1:
        raise ValueError(
            f"{graph.source}: {len(sinks)} output nodes, {', '.join(map(repr, sinks[:5]))}"
            f"{', ...' if len(sinks) > 5 else ''}; name one by end or by the graph's attribute {OUTPUT}=..."
        )
    return sinks[0] if sinks else list(graph.graph)[-1]  # without a sink there is a cycle, which is told later


def _operation(name: str, attributes: dict[str, str], label: str) -> str:
    for key in (label, "label"):
        if (value := attributes.get(key)) is not None:
            return _text(value, name)
    return name


def _text(value: str, name: str) -> str:
    """The text that an attribute's value stands for: quotes, escapes and tags away; ``name`` replaces \\N."""
    if value.startswith("<"):
        return html.unescape(re.sub(r"<[^<>]*>", "", value[1:-1])).strip()
    if not value.startswith('"'):
        return value
    # \\n, \\l and \\r end a line and say how it is set; after the last line the latter two mean nothing more.
    replaced = {None: "", "n": "\n", "l": "\n", "r": "\n", "N": name}
    return re.sub(r"(?:\\[lr])+\Z|\\(.)", lambda m: replaced.get(m[1], m[1]), _unquoted(value), flags=re.DOTALL)


def _unquoted(name: str) -> str:
    """An ID as Graphviz reads it: \\" is the only escape, and a backslash before the end of a line joins lines."""
    if not name.startswith('"'):
        return name
    name = re.sub(r"\\(\\|\r?\n)", lambda m: m[0] if m[1] == "\\" else "", name[1:-1])
    return re.sub(r"\\([\\\"])", lambda m: m[0] if m[1] == "\\" else '"', name)


class _Parser:
    """Recursive descent. Afterwards ``nodes`` has the attributes of each node by name, in order of first appearance,
    ``edges`` the pairs of names, ``attributes`` those of the graph. Values keep their quotes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = self._tokens()
        self.nodes: dict[str, dict[str, str]] = {}
        self.edges: dict[tuple[str, str], None] = {}
        self.attributes: dict[str, str] = {}
        self._advance()

    def parse(self) -> None:
        self._take("strict")
        if self._is("graph"):
            raise self._error("an undirected graph; expected digraph")
        if not self._take("digraph"):
            raise self._error(f"expected digraph, found {self._found()}")
        if self.kind in _IDS:
            self._id()
        self._block({}, depth=0)
        if self.kind != "end":
            raise self._error(f"expected the end after the graph, found {self._found()}")

    # Tokens

    def _tokens(self) -> Iterator[tuple[str, str, int]]:
        position, text = 0, self.text
        while position < len(text):
            match = _TOKEN.match(text, position)
            kind, end = (match.lastgroup, match.end()) if match else ("html", self._end_of_html(position))
            if kind != "space":
                yield str(kind), text[position:end], position
            position = end
        yield "end", "", len(text)

    def _end_of_html(self, position: int) -> int:
        """Where a text in balanced <...> ends; all other characters that begin no token are refused."""
        depth = 0
        for bracket in _BRACKET.finditer(self.text, position) if self.text[position] == "<" else ():
            depth += 1 if bracket[0] == "<" else -1
            if depth == 0:
                return bracket.end()
        self.position = position
        word = self.text[position : position + 20].split()[0]
        kinds = {'"': "a quoted text without its end", "/": "a comment without its end", "<": "< without its >"}
        hint = kinds.get(word[0], f"{word!r} must be put in quotes")
        raise self._error(hint)

    def _advance(self) -> None:
        self.kind, self.value, self.position = next(self.tokens)

    def _is(self, *values: str) -> bool:
        """Whether the token is one of these signs or keywords."""
        value = self.value.lower() if self.kind == "name" else self.value if self.kind == "sign" else None
        return value in values

    def _take(self, *values: str) -> bool:
        if found := self._is(*values):
            self._advance()
        return found

    def _expect(self, value: str) -> None:
        if not self._take(value):
            raise self._error(f"expected {value!r}, found {self._found()}")

    def _found(self) -> str:
        return "the end" if self.kind == "end" else repr(self.value[:20])

    def _error(self, problem: str) -> ValueError:
        return ValueError(f"line {self.text.count(chr(10), 0, self.position) + 1}: {problem}")

    # Grammar

    def _id(self) -> str:
        """An ID as it is written; several quoted ones joined by + as one."""
        if self.kind not in _IDS or self._is(*_KEYWORDS):
            raise self._error(f"expected a name, found {self._found()}")
        value, kind = self.value, self.kind
        self._advance()
        while kind == "quoted" and self._take("+"):
            if self.kind != "quoted":
                raise self._error(f"expected a quoted text after '+', found {self._found()}")
            value = value[:-1] + self.value[1:]
            self._advance()
        return value

    def _block(self, defaults: dict[str, str], depth: int) -> list[str]:
        """{...}: returns the names of its nodes. Defaults of nodes hold from where they stand to the block's end."""
        self._expect("{")
        if depth > _MAX_DEPTH:
            raise self._error(f"subgraphs are nested more than {_MAX_DEPTH} deep")
        defaults = dict(defaults)
        members: dict[str, None] = {}
        while not self._take("}"):
            if self._take(";"):
                continue
            if self._is("node", "edge", "graph"):
                kind = self.value.lower()
                self._advance()
                given = self._attribute_lists()
                if kind != "edge":
                    (defaults if kind == "node" else self.attributes if depth == 0 else {}).update(given)
            else:
                members |= dict.fromkeys(self._statement(defaults, depth))
        return list(members)

    def _statement(self, defaults: dict[str, str], depth: int) -> list[str]:
        """A node, an edge, a subgraph or an assignment; returns the names of the nodes in it."""
        chain, single = [], False
        while True:
            if self._is("subgraph", "{"):
                if self._take("subgraph") and not self._is("{"):
                    self._id()
                chain.append(self._block(defaults, depth + 1))
            else:
                written = self._id()
                if not chain and self._take("="):
                    value = self._id()
                    if depth == 0:
                        self.attributes[_unquoted(written)] = value
                    return []
                for _ in range(2):  # a port and a compass point
                    if self._take(":"):
                        self._id()
                name = _unquoted(written)
                self.nodes.setdefault(name, dict(defaults))
                single = not chain
                chain.append([name])
            if self._is("--"):
                raise self._error("an undirected edge --; expected ->")
            if not self._take("->"):
                break
        if len(chain) > 1 or single:
            given = self._attribute_lists()
            if single and len(chain) == 1:
                self.nodes[chain[0][0]].update(given)
        for sources, targets in pairwise(chain):
            if len(sources) * len(targets) > _MOST_EDGES:
                raise self._error(f"{len(sources) * len(targets):,} edges at once")
            self.edges |= dict.fromkeys((x, y) for x in sources for y in targets)
        return [name for names in chain for name in names]

    def _attribute_lists(self) -> dict[str, str]:
        attributes = {}
        while self._take("["):
            while not self._take("]"):
                name = _unquoted(self._id())
                attributes[name] = self._id() if self._take("=") else "true"
                self._take(",", ";")
        return attributes


def to_dot(architecture: Architecture) -> str:
    """Return DOT text, for Graphviz and for ``from_dot``: nodes 0 .. L-1 whose labels are the operations."""
    last = architecture.num_nodes - 1
    lines = ["digraph {", "  rankdir=LR", "  node [shape=box]"]
    if not architecture.adjacency[:last].any(axis=1).all():
        lines.append(f"  {OUTPUT}={last}  // other nodes lead nowhere too")
    for node, name in enumerate(architecture.operations):
        text = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        lines.append(f'  {node} [label="{text}"]')
    lines += [f"  {i} -> {j}" for i, j in architecture.edges]
    return "\n".join([*lines, "}"]) + "\n"
