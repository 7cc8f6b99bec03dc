"""The numbers of a network beside slow, independent computations of them."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from cate_hf import Architecture, get_space
from cate_hf.spaces.custom.custom_space import CustomSpace
from cate_hf.statistics._network_measures import NAMES, measure
from cate_hf.statistics._small_network import SmallNetwork, smooth_images

BATCH, SIZE = 6, 8
LEAST = math.log(1e-12)


def measured(space, architecture, seed=0, batch=BATCH, size=SIZE, **settings) -> dict[str, float]:
    network = SmallNetwork(space, architecture, space.small_network | settings)
    numbers = measure(network, seed, batch, size)
    assert numbers.shape == (len(NAMES),)
    assert np.isfinite(numbers).all()
    return dict(zip(NAMES, numbers.tolist(), strict=True))


def cell(space_name: str, text: str | None = None) -> tuple:
    space = get_space(space_name)
    return space, space.parse(text) if text else space.sample(1, seed=4)[0]


@pytest.fixture(params=["nasbench101", "nasbench201"])
def watched(request):
    """A network by the same seed as `measure`'s, with what plain hooks saw in it."""
    space, architecture = cell(request.param)
    small = SmallNetwork(space, architecture, space.small_network)
    small.draw_weights(0)
    network, seen = small.network, {"relu": [], "cell": []}
    for module in network.modules():
        if type(module).__name__ in ("ReLU", "Cell"):
            kept = seen[type(module).__name__.lower()]
            module.register_forward_hook(lambda module, given, output, kept=kept: kept.append(output))
    images, labels = smooth_images(0, BATCH, SIZE)
    images = images.clone().requires_grad_()
    logits = network(images)
    return measured(space, architecture), network, images, labels % 10, logits, seen


def test_relu_kernel(watched):
    numbers, _, _, _, _, seen = watched
    patterns = np.concatenate([(x.detach().numpy() > 0).reshape(BATCH, -1) for x in seen["relu"]], axis=1)
    kernel = np.array([[(a == b).sum() for b in patterns] for a in patterns], dtype=float)
    assert numbers["log_relus"] == pytest.approx(math.log1p(patterns.shape[1]))
    assert numbers["relus_active"] == pytest.approx(patterns.mean())
    assert numbers["relu_log_determinant"] == pytest.approx(np.linalg.slogdet(kernel)[1], rel=1e-4)
    normalised = np.linalg.slogdet(kernel / patterns.shape[1])[1]
    assert numbers["relu_log_determinant_normalised"] == pytest.approx(normalised, rel=1e-4)


def test_gradients(watched):
    numbers, network, _, labels, logits, _ = watched
    functional.cross_entropy(logits, labels).backward()
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    norms = np.array([float(layer.weight.grad.double().norm()) for layer in layers])
    snip = sum(float((layer.weight.detach() * layer.weight.grad).abs().double().sum()) for layer in layers)
    assert numbers["log_gradient_norm"] == pytest.approx(math.log(math.sqrt((norms**2).sum())), abs=1e-4)
    assert numbers["log_snip"] == pytest.approx(math.log(snip), abs=1e-4)
    assert numbers["layer_log_gradient_mean"] == pytest.approx(np.log(norms).mean(), abs=1e-4)
    assert numbers["layer_log_gradient_spread"] == pytest.approx(np.log(norms).std(), abs=1e-4)
    assert numbers["layer_log_gradient_first"] == pytest.approx(math.log(norms[0]), abs=1e-4)


def test_input_jacobian(watched):
    numbers, _, images, _, logits, _ = watched
    logits.backward(torch.ones_like(logits))
    jacobian = images.grad.reshape(BATCH, -1).double().numpy()
    values = np.linalg.eigvalsh(np.corrcoef(jacobian)) + 1e-5
    score = -(np.log(values) + 1 / values).sum()  # as Mellor et al. give it
    assert numbers["jacobian_covariance"] == pytest.approx(-math.log(-score / BATCH), abs=1e-4)
    gram = jacobian @ jacobian.T
    determinant = np.linalg.slogdet(gram / gram.diagonal().mean())[1]
    assert numbers["jacobian_log_determinant"] == pytest.approx(determinant, abs=1e-3)
    assert numbers["log_jacobian_norm"] == pytest.approx(math.log(np.linalg.norm(jacobian)), abs=1e-4)


def test_features_of_the_first_middle_and_last_cell(watched):
    numbers, _, _, _, _, seen = watched
    cells = [x.detach().double().numpy() for x in seen["cell"]]
    for place, x in zip(("first", "middle", "last"), (cells[0], cells[len(cells) // 2], cells[-1]), strict=True):
        rows = x.reshape(BATCH, -1)
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        cosines = unit @ unit.T
        assert numbers[f"{place}:cosine"] == pytest.approx(cosines[~np.eye(BATCH, dtype=bool)].mean(), abs=1e-4)
        assert numbers[f"{place}:log_std"] == pytest.approx(math.log(x.std()), abs=1e-4)
        values = np.linalg.svd(rows, compute_uv=False)
        shares = values / values.sum()
        entropy = -(shares * np.log(shares)).sum() / math.log(BATCH)
        assert numbers[f"{place}:entropy"] == pytest.approx(entropy, abs=1e-4)
        steps = (np.diff(x, axis=2) ** 2).mean() + (np.diff(x, axis=3) ** 2).mean()
        assert numbers[f"{place}:roughness"] == pytest.approx(steps / 2 / (2 * x.var()), abs=1e-4)


class Chain(nn.Module):
    """Two convolutions of one pixel and a linear layer: what SynFlow is can be said by hand."""

    def __init__(self, relus: bool = True, norm: bool = True):
        super().__init__()
        middle = [nn.BatchNorm2d(4) if norm else nn.Identity(), nn.ReLU() if relus else nn.Identity()]
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), *middle, nn.Conv2d(4, 2, 1, bias=False))
        self.linear = nn.Linear(2, 3)

    def forward(self, x):
        return self.linear(self.layers(x).mean(dim=(2, 3)))


def own_space(builder) -> CustomSpace:
    return CustomSpace(name="own", operations=["a", "b"], nodes=[3, 4], builder=builder)


def test_synflow_by_hand():
    space = own_space(lambda architecture: Chain())
    network = SmallNetwork(space, space.example(), {})
    numbers = dict(zip(NAMES, measure(network, 1, BATCH, SIZE), strict=True))
    network.draw_weights(1)
    first, second = (layer.weight.detach().double().abs()[:, :, 0, 0] for layer in network.network.layers[::3])
    last = network.network.linear.weight.detach().double().abs()
    flow = float((last @ second @ first @ torch.ones(3, dtype=torch.float64)).sum())
    assert numbers["log_synflow"] == pytest.approx(math.log(3 * flow), abs=1e-5)  # each of three layers has all of it


def test_relus_that_are_functions_count_too():
    space, architecture = cell("darts")
    small = SmallNetwork(space, architecture, space.small_network)
    units = []
    for module in small.network.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(lambda module, given, output: units.append(output[0].numel()))
        if type(module).__name__ == "FactorizedReduce":  # calls functional.relu
            module.register_forward_hook(lambda module, given, output: units.append(given[0][0].numel()))
    small.network(smooth_images(0, BATCH, SIZE)[0])
    numbers = measured(space, architecture)
    assert numbers["log_relus"] == pytest.approx(math.log1p(sum(units)))


@pytest.mark.parametrize("cell_text", ["000000", "111111", "444444", "000100", "000300", "010001"])
def test_cells_of_nasbench201_without_convolutions_or_path(cell_text):
    measured(*cell("nasbench201", cell_text))


@pytest.mark.parametrize("operation", [None, "maxpool3x3"])
def test_cells_of_nasbench101_without_convolutions(operation):
    names = ["input", *([operation] * 5 if operation else []), "output"]
    measured(get_space("nasbench101"), Architecture(names, np.eye(len(names), k=1, dtype=np.uint8)))


@pytest.mark.parametrize("name", ["skip_connect", "max_pool_3x3"])
def test_cells_of_darts_without_convolutions(name):
    space = get_space("darts")
    measured(space, space.from_genotype([(name, 0), (name, 1)] * 4))


def test_a_cell_that_gives_zeros_tells_no_image_apart():
    numbers = measured(*cell("nasbench201", "000000"))
    assert numbers["last:cosine"] == 1
    assert numbers["last:entropy"] == pytest.approx(0, abs=1e-6)
    assert numbers["last:roughness"] == 0
    assert numbers["last:log_std"] == numbers["log_gradient_norm"] == numbers["log_jacobian_norm"] == LEAST
    assert numbers["jacobian_covariance"] == pytest.approx(-math.log((5e5 + 5 * math.log(1e-5)) / 6), abs=1e-3)


class Nothing(nn.Module):
    def forward(self, x):
        return x.mean(dim=(2, 3))


class Constant(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 4)

    def forward(self, x):
        return self.linear(x.new_ones(len(x), 3))


class Exploding(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(3, 3, 3, padding=1, bias=False) for _ in range(3))

    def forward(self, x):
        for layer in self.layers:
            x = torch.relu(1e30 * layer(x))
        return x.mean(dim=(2, 3))


OWN = [Nothing, Constant, Exploding, lambda: Chain(relus=False), lambda: Chain(norm=False)]


@pytest.mark.parametrize("network", OWN)
def test_networks_of_ones_own_without_cells_are_finite(network):
    space = own_space(lambda architecture: network())
    measured(space, space.example())


def test_weights_images_and_labels_depend_on_the_seed_alone():
    space, architecture = cell("nasbench201")
    torch.manual_seed(1)
    first = measured(space, architecture, seed=3)
    state = torch.get_rng_state()
    assert measured(space, architecture, seed=3) == first
    assert torch.equal(torch.get_rng_state(), state)
    assert measured(space, architecture, seed=4) != first
    network = SmallNetwork(space, architecture, space.small_network)
    measure(network, 4, BATCH, SIZE)
    assert dict(zip(NAMES, measure(network, 3, BATCH, SIZE), strict=True)) == first


def test_images_are_smooth():
    images, labels = smooth_images(0, 32, 16)
    assert images.shape == (32, 3, 16, 16)
    assert float(images.mean()) == pytest.approx(0, abs=1e-5)
    assert float(images.std()) == pytest.approx(1, abs=1e-5)
    assert float((images[..., 1:] - images[..., :-1]).square().mean()) < 0.5  # 2 of white noise
    assert len(set((labels % 10).tolist())) > 5
    assert smooth_images(0, 3, 3)[0].shape == (3, 3, 3, 3)
