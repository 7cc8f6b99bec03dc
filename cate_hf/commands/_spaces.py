"""`cate spaces`: the known search spaces."""

from cate_hf.commands._listing import print_listing
from cate_hf.commands._options import Json, Quiet


def spaces(json: Json = False, quiet: Quiet = False) -> None:
    """List the search spaces: their size, nodes, operations, checkpoint and benchmarks.

    Wherever a command takes the name of a space, it takes a YAML file of your own too. `cate enumerate SPACE` writes
    the architectures of a space.

    Example:

      cate spaces
    """
    from cate_hf.benchmarks import CATALOG, benchmark_names
    from cate_hf.hub._layout import checkpoint_names
    from cate_hf.spaces import get_space, space_names

    bundled = checkpoint_names()
    benchmarks = {name: CATALOG.get(name) for name in benchmark_names()}
    rows = []
    for name in space_names():
        space = get_space(name)
        rows.append(
            {
                "name": name,
                "architectures": space.size,
                "pool": space.pool_size,
                "most_nodes": space.max_nodes,
                "operations": list(space.vocabulary[space.num_inputs : -1]),
                "bundled_checkpoint": name in bundled,
                "benchmarks": [
                    {"name": key, "needs_file": benchmark.needs_path}
                    for key, benchmark in benchmarks.items()
                    if benchmark.space_name == name
                ],
            }
        )
    print_listing(rows, "name", json, quiet, lambda: _print_table(rows))


def _print_table(rows: list[dict]) -> None:
    from rich.console import Console
    from rich.table import Table

    view = Table(show_header=True)
    for name in ("space", "architectures", "nodes", "operations", "checkpoint", "benchmark"):
        view.add_column(name, justify="right" if name in ("architectures", "nodes") else "left")
    for row in rows:
        own = [f"{b['name']} ({'a file of yours' if b['needs_file'] else 'ready'})" for b in row["benchmarks"]]
        view.add_row(
            row["name"],
            f"{row['architectures']:,}" if row["architectures"] is not None else f"too many; pool {row['pool']:,}",
            f"up to {row['most_nodes']}",
            ", ".join(row["operations"]),
            "bundled" if row["bundled_checkpoint"] else "–",
            ", ".join(own) or "–",
        )
    Console(width=max(Console().width, 100)).print(view)
