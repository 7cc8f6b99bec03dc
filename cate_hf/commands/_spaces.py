"""`cate spaces`: the known search spaces."""


def spaces() -> None:
    """List the search spaces: their size, nodes, operations, checkpoint and benchmarks.

    Wherever a command takes the name of a space, it takes a YAML file of your own too. `cate enumerate SPACE` writes
    the architectures of a space.

    Example:

      cate spaces
    """
    from rich.console import Console
    from rich.table import Table

    from cate_hf.benchmarks import CATALOG, benchmark_names
    from cate_hf.hub.layout import checkpoint_names
    from cate_hf.spaces import get_space, space_names

    view = Table(show_header=True)
    for name in ("space", "architectures", "nodes", "operations", "checkpoint", "benchmark"):
        view.add_column(name, justify="right" if name in ("architectures", "nodes") else "left")
    bundled = checkpoint_names()
    benchmarks = {name: CATALOG.get(name) for name in benchmark_names()}
    for name in space_names():
        space = get_space(name)
        own = [
            f"{key} ({'a file of yours' if benchmark.needs_path else 'ready'})"
            for key, benchmark in benchmarks.items()
            if benchmark.space_name == name
        ]
        view.add_row(
            name,
            f"{space.size:,}" if space.size is not None else f"too many; pool {space.pool_size:,}",
            f"up to {space.max_nodes}",
            ", ".join(space.vocabulary[space.num_inputs : -1]),
            "bundled" if name in bundled else "–",
            ", ".join(own) or "–",
        )
    Console(width=max(Console().width, 100)).print(view)
