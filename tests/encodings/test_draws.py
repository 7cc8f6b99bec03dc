"""What `sample` and `perturb` draw from, against exact probabilities of a space with few architectures."""

from collections import Counter, defaultdict
from itertools import combinations, product
from math import comb

import numpy as np
import pytest
from scipy.stats import binom, chi2

from cate_hf import Architecture
from cate_hf.encodings import get_encoding
from tests.encodings.conftest import encoding_of, slow_paths, space_of

PAIRS = list(combinations(range(4), 2))  # of the 4 positions of "tiny", row by row
KINDS = ("conv", "pool")
ADJACENCY = ["adjacency", "adjacency-categorical", "adjacency-continuous"]
PATHS = ["path", "path-truncated", "path-categorical", "path-categorical-truncated", "path-continuous"]
MOST_EDGES = 4


def fits(counts: Counter, probabilities: dict) -> bool:
    """Whether counts are as likely as a sample of the probabilities, by Pearson's test at one in a million."""
    n = sum(counts.values())
    if set(counts) - {key for key, probability in probabilities.items() if probability > 0}:
        return False
    rare = [key for key, probability in probabilities.items() if n * probability < 5]
    cells = [(counts[key], n * probabilities[key]) for key in set(probabilities) - set(rare)]
    cells.append((sum(counts[key] for key in rare), n * sum(probabilities[key] for key in rare)))
    statistic = sum((seen - expected) ** 2 / expected for seen, expected in cells if expected > 0)
    return statistic < chi2.isf(1e-6, max(len(cells) - 1, 1))


def test_the_check_itself_tells_distributions_apart(rng):
    fair = dict.fromkeys("abcd", 0.25)
    assert fits(Counter(rng.choice([*"abcd"], 4000).tolist()), fair)
    assert not fits(Counter(rng.choice([*"abcd"], 4000, p=[0.3, 0.2, 0.25, 0.25]).tolist()), fair)
    assert not fits(Counter("abcde" * 800), fair)


def hash_of(edges, operations):
    """The hash of a graph of 4 positions, None where it is no architecture of the space."""
    adjacency = np.zeros((4, 4), dtype=int)
    for edge in edges:
        adjacency[PAIRS[edge]] = 1
    graph = Architecture(["input", *(KINDS[kind] for kind in operations), "output"], adjacency)
    space = space_of("tiny")
    return space.hash(graph) if space.is_valid(graph) else None


def edge_probabilities(form):
    """Set of edges -> probability, as `sample` draws it."""
    chances = defaultdict(float)
    for size in range(7):
        for edges in combinations(range(6), size):
            if form == "adjacency":
                chances[edges] = 0.5**6
            elif form == "adjacency-continuous" and 1 <= size <= MOST_EDGES:
                chances[edges] = 1 / MOST_EDGES / comb(6, size)
    if form == "adjacency-categorical":
        for size in range(1, MOST_EDGES + 1):
            for features in product(range(6), repeat=size):
                chances[tuple(sorted(set(features)))] += 1 / MOST_EDGES / 6**size
    assert sum(chances.values()) == pytest.approx(1)
    return chances


def each_of(form):
    """(edges, operations) -> probability, as `sample` draws them."""
    return {(e, o): p / 4 for e, p in edge_probabilities(form).items() for o in product(range(2), repeat=2)}


def by_hash(edges_and_operations):
    """Hash -> probability given that it is an architecture, from (edges, operations) -> probability."""
    chances = defaultdict(float)
    for (edges, operations), chance in edges_and_operations.items():
        if (found := hash_of(edges, operations)) is not None:
            chances[found] += chance
    total = sum(chances.values())
    return {found: chance / total for found, chance in chances.items()}


@pytest.mark.parametrize("form", ADJACENCY)
def test_samples_of_adjacency_forms(form, rng):
    table = encoding_of(form, "tiny").sample(20_000, rng)
    counts = Counter(str(text) for text in table.columns["hash"])
    assert fits(counts, by_hash(each_of(form)))
    assert not any(fits(counts, by_hash(each_of(other))) for other in ADJACENCY if other != form)


def edge_steps(form, edges):
    """Set of edges -> probability, one step from a set."""
    chances = defaultdict(float)
    if form == "adjacency":
        for flips in product([False, True], repeat=6):
            changed = tuple(sorted(set(edges) ^ {edge for edge in range(6) if flips[edge]}))
            chances[changed] += np.prod([1 / 6 if flip else 5 / 6 for flip in flips])
    elif form == "adjacency-categorical":
        features = [edge + 1 for edge in edges] + [0] * (MOST_EDGES - len(edges))
        choices = [[(own, 1 - 1 / 4)] + [(value, 1 / 4 / 7) for value in range(7)] for own in features]
        for step in product(*choices):
            changed = tuple(sorted({value - 1 for value, _ in step if value}))
            chances[changed] += np.prod([chance for _, chance in step])
    else:
        absent = [edge for edge in range(6) if edge not in edges]
        for gone in edges:
            chances[tuple(sorted({*edges} - {gone}))] += 1 / 3 / len(edges)
            for added in absent:
                chances[tuple(sorted({*edges, added} - {gone}))] += 1 / 3 / len(edges) / len(absent)
        for added in absent:
            chances[tuple(sorted({*edges, added}))] += 1 / 3 / len(absent)
    assert sum(chances.values()) == pytest.approx(1)
    return chances


@pytest.mark.parametrize(
    "start",
    [
        Architecture(["input", "conv", "pool", "output"], [[0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1], [0] * 4]),
        Architecture(["input", "conv", "output"], [[0, 1, 1], [0, 0, 1], [0, 0, 0]]),
    ],
    ids=["full", "with an empty position"],
)
@pytest.mark.parametrize("form", ADJACENCY)
def test_steps_of_adjacency_forms(form, start, rng):
    own = space_of("tiny").hash(start)
    place = [*range(start.num_nodes - 1), 3]
    edges = tuple(sorted(PAIRS.index((place[x], place[y])) for x, y in start.edges))
    operations = [KINDS.index(name) for name in start.operations[1:-1]]
    each = defaultdict(float)
    for changed, chance in edge_steps(form, edges).items():
        for empty in product(range(2), repeat=2 - len(operations)):
            for flips in product([0, 1], repeat=2):
                after = tuple((kind + flip) % 2 for kind, flip in zip([*operations, *empty], flips, strict=True))
                each[changed, after] += chance / 4 / 2 ** len(empty)  # an operation changes with probability 1/2
    chances = by_hash(each)
    chances = {found: p / (1 - chances.get(own, 0)) for found, p in chances.items() if found != own}
    encoding = encoding_of(form, "tiny")
    steps = [encoding.perturb(start, rng) for _ in range(1500)]
    assert fits(Counter(space_of("tiny").hash(step) for step in steps), chances)


def test_a_cell_that_no_single_step_leads_from_is_left_by_several(rng):
    """Input and output alone: a node needs two edges."""
    encoding = encoding_of("adjacency-continuous", "nasbench101")
    start = Architecture(["input", "output"], [[0, 1], [0, 0]])
    assert all(encoding.perturb(start, rng).num_nodes == 3 for _ in range(5))


def test_spaces_of_a_fixed_pattern_draw_and_step_as_they_do_themselves(rng):
    encoding, space = encoding_of("adjacency", "nasbench201"), space_of("nasbench201")
    cells = space.enumerate()
    names, counts = np.unique(cells.columns["hash"], return_counts=True)
    drawn = Counter(encoding.sample(20_000, rng).columns["hash"].tolist())
    assert fits(drawn, dict(zip(names.tolist(), counts / len(cells), strict=True)))
    start = space.cell("310023")
    neighbours = space.neighbours(start).columns["hash"]
    steps = Counter(space.hash(encoding.perturb(start, rng)) for _ in range(600))
    assert fits(steps, dict.fromkeys(neighbours.tolist(), 1 / len(neighbours)))
    darts = encoding_of("adjacency-categorical", "darts").sample(500, rng)
    assert len(set(darts.columns["hash"].tolist())) > 490


def sets_of(space, form):
    """Set of paths -> hashes of the pool's architectures that have it."""
    pool, sets = space_of(space).pool(), defaultdict(list)
    longest = max(len(text.split("|")) - 2 for text in encoding_of(form, space).paths.texts())
    for architecture, text in zip(pool, pool.columns["hash"].tolist(), strict=True):
        paths = slow_paths(space_of(space), architecture)
        sets[frozenset(path for path in paths if len(path) - 1 <= longest)].append(text)
    return sets


@pytest.mark.parametrize("space", ["tiny", "nasbench201"])
@pytest.mark.parametrize("form", PATHS)
def test_samples_of_path_forms(form, space, rng):
    encoding, sets = encoding_of(form, space), sets_of(space, form)
    sizes = Counter(map(len, sets))
    numbers = dict.fromkeys(sizes, 1 / len(sizes))
    if form in ("path", "path-truncated"):
        architectures = sum(map(len, sets.values()))
        average = sum(len(paths) * len(members) for paths, members in sets.items()) / architectures
        numbers = {size: binom.pmf(size, encoding.dim, average / encoding.dim) for size in sizes}
        numbers = {size: chance / sum(numbers.values()) for size, chance in numbers.items()}
    chances = {
        text: numbers[len(paths)] / sizes[len(paths)] / len(members)
        for paths, members in sets.items()
        for text in members
    }
    assert sum(chances.values()) == pytest.approx(1)
    drawn = Counter(encoding.sample(60_000, rng).columns["hash"].tolist())
    assert fits(drawn, chances)


def test_one_path_on_average_as_in_the_study(rng):
    encoding = get_encoding("path", "nasbench201", average=1)
    _, counts = encoding.paths.of(encoding.sample(4000, rng))
    sizes = [*range(5)]  # no cell has more than 4 paths
    chances = binom.pmf(sizes, 84, 1 / 84)
    assert fits(Counter(counts.tolist()), dict(zip(sizes, chances / chances.sum(), strict=True)))
    for average in (0, 84, float("nan")):
        with pytest.raises(ValueError, match="path: average must be between 0 and 84 paths"):
            get_encoding("path", "nasbench201", average=average)


@pytest.mark.parametrize("space", ["tiny", "two-inputs", "darts"])
@pytest.mark.parametrize("form", PATHS)
def test_steps_of_path_forms_lead_to_the_nearest_sets(form, space, rng):
    encoding, sets = encoding_of(form, space), sets_of(space, form)
    by_text = {text: paths for paths, members in sets.items() for text in members}
    own = encoding.sample(1, rng)
    start = by_text[own.columns["hash"][0]]
    wanted = Counter()
    for shift in (-1, 0, 1) if "path-" in form and form != "path-truncated" else (None,):
        others = [paths for paths in sets if paths != start and (shift is None or len(paths) == len(start) + shift)]
        least = min((len(paths ^ start) for paths in others), default=None)
        near = [paths for paths in others if len(paths ^ start) == least]
        for paths in near:
            for text in sets[paths]:
                wanted[text] += 1 / len(near) / len(sets[paths])
    steps = [encoding.perturb(own[0], rng) for _ in range(300)]
    texts = space_of(space).hash_many(space_of(space).table(steps)).tolist()
    total = sum(wanted.values())  # less than 3 where there are no sets of one of the sizes
    assert total == pytest.approx(round(total))
    assert fits(Counter(texts), {text: weight / total for text, weight in wanted.items()})
