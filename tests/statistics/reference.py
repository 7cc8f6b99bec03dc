"""Structural statistics of one architecture by listing its paths with networkx: slow, independent."""

import math

import networkx


def reference_structure(space, architecture) -> dict[str, float]:
    """By name, without the costs."""
    inputs, output = range(space.num_inputs), architecture.num_nodes - 1
    drawn = architecture.to_networkx()
    drawn = drawn.subgraph(_on_paths(drawn, inputs, output))
    graph = networkx.DiGraph(drawn)
    operation = dict(graph.nodes(data="operation"))
    for node in [node for node in graph if operation[node] in space.transparent and node not in (*inputs, output)]:
        graph.add_edges_from([(x, y) for x in graph.predecessors(node) for y in graph.successors(node)])
        graph.remove_node(node)
    paths = {i: [] if i not in graph else list(networkx.all_simple_paths(graph, i, output)) for i in inputs}
    every = [path for of_input in paths.values() for path in of_input]
    into_output = list(graph.predecessors(output)) if every else []
    fed = {i: list(graph.successors(i)) if i in graph else [] for i in inputs}
    joined = [node for node in drawn.predecessors(output) if node not in inputs] if every else []
    numbers = {
        "vertices": len(graph) if every else 0,
        "edges": graph.number_of_edges(),
        "output_inputs": len(into_output),
        "output_share": 1 / max(len(joined), 1) if every else 0,
        "mean_path": _mean([len(path) - 1 for path in every]),
        **_lengths(every, ""),
    }
    for i in inputs:
        prefix = f"{space.vocabulary[i]}:" if len(inputs) > 1 else ""
        numbers |= {f"{prefix}to_output": int(output in fed[i]), f"{prefix}feeds": len(fed[i])}
        if len(inputs) > 1:
            numbers |= _lengths(paths[i], prefix)
    ends = (*inputs, output)
    for name in space.vocabulary[space.num_inputs : -1]:
        if name in space.transparent:
            continue
        counts = [sum(operation[node] == name for node in path[1:-1] if node not in ends) for path in every]

        def number(nodes, name=name):
            return sum(operation[node] == name for node in nodes if node not in ends)

        numbers |= {
            f"{name}:count": number(graph) if every else 0,
            f"{name}:into_output": number(into_output),
            f"{name}:most_on_path": max(counts, default=0),
            f"{name}:fewest_on_path": min(counts, default=0),
            f"{name}:mean_on_path": _mean(counts),
        }
        for i in inputs:
            where = "from_input" if len(inputs) == 1 else f"from_{space.vocabulary[i]}"
            numbers[f"{name}:{where}"] = number(fed[i])
    return numbers


def _on_paths(graph, inputs, output) -> set[int]:
    before = networkx.ancestors(graph, output) | {output}
    after = set(inputs).union(*(networkx.descendants(graph, i) for i in inputs))
    return before & after


def _lengths(paths, prefix) -> dict[str, float]:
    lengths = [len(path) - 1 for path in paths]
    return {
        f"{prefix}longest_path": max(lengths, default=0),
        f"{prefix}shortest_path": min(lengths, default=0),
        f"{prefix}log_paths": math.log(1 + len(paths)),
    }


def _mean(numbers) -> float:
    return sum(numbers) / len(numbers) if numbers else 0
