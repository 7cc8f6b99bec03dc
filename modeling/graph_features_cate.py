"""What the model reads off a graph: who reaches whom and how far, and where each node is. None of it depends on the
order in which nodes are drawn.

B architectures, L positions (nodes and padding).
"""

import torch

__all__ = ["longest_paths", "node_features", "reachability"]

NUM_NODE_FEATURES = 12
_MOST_PATHS = 1e18  # counts of paths are cut here: in 200 nodes there may be more than a float32 holds


def is_exporting() -> bool:
    """Whether this is a pass of torch.export or torch.onnx.export, in which B and L may be symbols."""
    return getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)() or torch.jit.is_tracing()


def nodes_of_paths(adjacency: torch.Tensor, max_nodes: int) -> int:
    """How many nodes a path of adjacency (B, L, L) may have: L, or in an export, which does not know L, `max_nodes`."""
    return max_nodes if is_exporting() else adjacency.shape[-1]


def identity(like: torch.Tensor) -> torch.Tensor:
    """(L, L) booleans, true where both positions of (B, L, L) are the same."""
    positions = torch.arange(like.shape[-1], device=like.device)
    return positions.unsqueeze(1) == positions


def reachability(adjacency: torch.Tensor, longest: int | None = None) -> torch.Tensor:
    """Transitive closure of adjacency (B, L, L): out[b, i, j] is true when j is reachable from i. Paths double in
    length at each product, so log2(L) products are enough, or log2(longest) where no path has more nodes.
    """
    longest = adjacency.shape[-1] if longest is None else longest
    reach = (adjacency != 0).float()
    covered = 1
    while covered < longest - 1:
        reach = ((reach + reach @ reach) > 0).float()
        covered *= 2
    return reach.bool()


def num_relations(buckets: int) -> int:
    """Unrelated, the same node, and each bucket of distances either way."""
    return 2 + 2 * buckets


def relations(adjacency: torch.Tensor, buckets: int, longest: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """How each two nodes are related, and the transitive closure, where no path has more than `longest` nodes (L).

    The bucket of a distance is 1 + ceil(log2(distance)), at most `buckets`: what each of the doublings that give the
    closure adds.

    Returns:
        (B, L, L) int64: 0 unrelated, 1 the same node, 1 + k where j is reached from i by a distance of bucket k, and
        1 + buckets + k where i is reached from j; and (B, L, L) bool, the closure.
    """
    longest = adjacency.shape[-1] if longest is None else longest
    reach = (adjacency != 0).float()
    bucket, covered = reach.clone(), 1  # of each pair, 0 where the one does not reach the other
    for k in range(2, 2 + max(longest - 2, 0).bit_length()):
        further = ((reach + reach @ reach) > 0).float()
        bucket = bucket + (further - reach) * min(k, buckets)
        reach, covered = further, 2 * covered
    forward = bucket.long()
    backward = forward.transpose(1, 2)
    related = identity(adjacency).long() + forward + (forward > 0) + backward + (backward > 0) * (1 + buckets)
    return related, reach.bool()


def node_features(
    adjacency: torch.Tensor, attention_mask: torch.Tensor, reach: torch.Tensor, longest: int | None = None
) -> torch.Tensor:
    """Where each node is in its graph.

    For both directions, from the inputs (nodes without a predecessor) and to the outputs: shortest, mean and longest
    length of the paths, each over 4; log(1 + number of paths) over 2; the degree over 4; and log(1 + number of
    ancestors, or descendants).

    Args:
        adjacency: (B, L, L); attention_mask: (B, L), 1 on real nodes; reach: (B, L, L), the closure.
        longest: the most nodes of a path, L when None.

    Returns:
        (B, L, 12) float32; what stands at padding means nothing.
    """
    length = adjacency.shape[-1] if longest is None else longest
    edges = (adjacency != 0).float()
    both = torch.stack([edges, edges.transpose(1, 2)])  # (2, B, L, L): how to step forward and backward
    degree = both.sum(2)  # (2, B, L): predecessors, successors
    at = ((degree == 0) & attention_mask.bool()).float()  # paths of k edges that end at each node
    walks = [at]
    for _ in range(length - 1):
        at = (at.unsqueeze(2) @ both).squeeze(2).clamp(max=_MOST_PATHS)
        walks.append(at)
    counts = torch.stack(walks, dim=-1)  # (2, B, L, length): last, the number of edges
    lengths = torch.arange(length, device=adjacency.device, dtype=torch.float32)
    paths = counts.sum(-1)
    there = counts > 0
    farthest = (there * lengths).amax(-1)
    shortest = length - (there * (length - lengths)).amax(-1)
    mean = (counts * lengths).sum(-1) / paths.clamp(min=1)
    relatives = torch.stack([reach.sum(1), reach.sum(2)]).float()  # ancestors, descendants
    features = [shortest / 4, mean / 4, farthest / 4, paths.log1p() / 2, degree / 4, relatives.log1p()]
    return torch.stack(features, dim=-1).permute(1, 2, 0, 3).flatten(2)  # (B, L, 2 × 6)


def longest_paths(features: torch.Tensor) -> torch.Tensor:
    """Of `node_features` (B, L, 12) the lengths of the longest paths, in edges: (B, L, 2), from the inputs and to the
    outputs.
    """
    return features[..., [2, 2 + NUM_NODE_FEATURES // 2]] * 4
