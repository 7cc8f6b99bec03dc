"""The weights that are trained and their optimiser, as they lie over the processes: whole in each, in shards of FSDP2,
or with moments that DeepSpeed shards. Whole again they make evaluations, states and the checkpoint, whose files are the
same for all three.
"""

import copy
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

import torch

from cate_hf.core.launching import sharding_of
from cate_hf.core.run_state import moments_of, put_moments
from cate_hf.training.setup import adamw

if TYPE_CHECKING:
    from accelerate import Accelerator

    from cate_hf.training.settings import PretrainSettings

DEEPSPEED_FILE = "accelerate_configs/deepspeed_zero2.yaml"


class Weights:
    """Whole in each process; gradients are averaged over them by DistributedDataParallel where there are several.

    Args:
        model: that is trained. After `gather` it has the whole weights, in each process; it can be called then.
    """

    def __init__(self, accelerator: "Accelerator", model: torch.nn.Module, settings: "PretrainSettings"):
        self.accelerator, self.model, self.settings = accelerator, model, settings
        self._prepare()

    def _prepare(self) -> None:
        self.wrapped, self.optimizer = self.accelerator.prepare(self.model, self._optimizer(self.model))

    def _optimizer(self, model: torch.nn.Module) -> torch.optim.AdamW:
        return adamw(model, self.settings, fused=self.accelerator.device.type in ("cpu", "cuda"))

    def autocast(self) -> AbstractContextManager:
        """What the forward pass of `wrapped` is run in, beside what it does by itself."""
        return nullcontext()

    def micro_batch(self, last: bool) -> AbstractContextManager:
        """Forward and backward pass of one micro-batch; only with the last one of a step are gradients averaged."""
        return nullcontext() if last else self.accelerator.no_sync(self.wrapped)

    def backward(self, loss: torch.Tensor) -> None:
        self.accelerator.backward(loss)

    def set_learning_rate(self, rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def step(self) -> None:
        """One step of the optimiser with the gradients, which are clipped where the settings say so, and cleared."""
        if self.settings.max_grad_norm:
            self.accelerator.clip_grad_norm_(self.wrapped.parameters(), self.settings.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def finite(self) -> torch.Tensor:
        """Whether all weights that this process has are finite: a scalar on its device."""
        own = [_local(parameter).isfinite().all() for parameter in self.wrapped.parameters()]
        return torch.stack([one.to(self.accelerator.device) for one in own]).all()

    def gather(self) -> None:
        """Make `model` whole; all processes call it."""

    def moments(self) -> dict[str, torch.Tensor]:
        """The optimiser's, whole, as `state.write_state` wants them; all processes call it."""
        return moments_of(self.optimizer)

    def load(self, moments: dict[str, torch.Tensor]) -> None:
        """Go on from the weights that `model` has now, and from these moments."""
        put_moments(self.optimizer, moments)


class ShardedWeights(Weights):
    """Each process has a share of every weight, of its gradient and its moments (FSDP2, torch's fully_shard).

    Layers are gathered one at a time where they are computed; the rest, embeddings and head among it, is one group with
    the model. The arithmetic is that of whole weights: autocast from float32, gradients averaged in float32.
    """

    def _prepare(self) -> None:
        from accelerate.utils import FullyShardedDataParallelPlugin
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        accelerator = self.accelerator
        plugin = getattr(accelerator.state, "fsdp_plugin", None) or FullyShardedDataParallelPlugin()  # none on CPUs
        # Of an output that is a view of another; nothing here is changed in place.
        warnings.filterwarnings("ignore", message=r"FSDP2-wrapped module .* returned a view tensor")
        self.model.to(accelerator.device)
        self.wrapped = copy.deepcopy(self.model)
        mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
        more = {"mesh": mesh, "offload_policy": plugin.cpu_offload}
        layers = set(self.model._no_split_modules)
        for module in self.wrapped.modules():
            if type(module).__name__ in layers:
                fully_shard(module, reshard_after_forward=plugin.reshard_after_forward, **more)
        fully_shard(self.wrapped, **more)
        self.optimizer = accelerator.prepare_optimizer(self._optimizer(self.wrapped), device_placement=False)

    def autocast(self) -> AbstractContextManager:
        return self.accelerator.autocast()

    @contextmanager
    def micro_batch(self, last: bool) -> Iterator[None]:
        self.wrapped.set_requires_gradient_sync(last)
        yield

    def step(self) -> None:
        if self.settings.max_grad_norm:
            self.accelerator.unscale_gradients()
            torch.nn.utils.clip_grad_norm_(self.wrapped.parameters(), self.settings.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()

    @torch.no_grad()
    def gather(self) -> None:
        for whole, own in self._both():
            whole.copy_(_whole(own))

    def moments(self) -> dict[str, torch.Tensor]:
        return {key: _whole(value).cpu() for key, value in moments_of(self.optimizer).items()}

    @torch.no_grad()
    def load(self, moments: dict[str, torch.Tensor]) -> None:
        for whole, own in self._both():
            own.copy_(_shard_like(whole, own))
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        shares = {}
        for key, value in moments.items():
            parameter = parameters[int(key.split(".", 1)[0])]
            shares[key] = _shard_like(value, parameter) if value.ndim else value
        put_moments(self.optimizer, shares)

    def _both(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Each weight and buffer, whole, and this process's part of it."""
        for tensors in ("named_parameters", "named_buffers"):
            own = dict(getattr(self.wrapped, tensors)())
            for name, whole in getattr(self.model, tensors)():
                yield whole, own[name]


class DeepSpeedWeights(Weights):
    """Weights whole in each process, and gradients and moments in shares of DeepSpeed's ZeRO, stage 1 or 2.

    A state has the moments of all shares; checkpoints of DeepSpeed, which are pickles, are not used. bf16 is autocast
    from float32 weights; evaluation is in float32.
    """

    def _prepare(self) -> None:
        settings, plugin = self.settings, self.accelerator.state.deepspeed_plugin
        config = plugin.deepspeed_config
        stage = config.get("zero_optimization", {}).get("stage", 0)
        if stage not in (1, 2):
            raise ValueError(f"DeepSpeed with zero_stage {stage}: expected 1 or 2, as in {DEEPSPEED_FILE}")
        config["train_micro_batch_size_per_gpu"] = settings.batch_size // (
            settings.processes * settings.gradient_accumulation_steps
        )
        config["gradient_accumulation_steps"] = settings.gradient_accumulation_steps
        config["gradient_clipping"] = settings.max_grad_norm
        if settings.mixed_precision == "bf16":
            config["torch_autocast"] = {"enabled": True, "dtype": "bfloat16"}
        super()._prepare()

    def autocast(self) -> AbstractContextManager:
        kind = self.accelerator.device.type
        return torch.autocast(kind, torch.bfloat16, enabled=self.settings.mixed_precision == "bf16")

    def micro_batch(self, last: bool) -> AbstractContextManager:
        self.wrapped.set_gradient_accumulation_boundary(last)
        return nullcontext()

    def backward(self, loss: torch.Tensor) -> None:
        self.wrapped.backward(loss, scale_wrt_gas=False)  # losses are divided by the global counts already

    def step(self) -> None:
        self.wrapped.step()  # clips and clears by itself

    def moments(self) -> dict[str, torch.Tensor]:
        """Flat shares of all processes, (processes, numbers of a share), of each parameter group."""
        own = moments_of(self._sharing.optimizer)
        gathered = self.accelerator.gather({key: value[None] for key, value in own.items() if value.ndim})
        return own | {key: value.cpu() for key, value in gathered.items()}

    @torch.no_grad()
    def load(self, moments: dict[str, torch.Tensor]) -> None:
        own = {key: value[self.accelerator.process_index] if value.ndim else value for key, value in moments.items()}
        put_moments(self._sharing.optimizer, own)
        self._sharing.refresh_fp32_params()  # from the model's

    @property
    def _sharing(self):
        """DeepSpeed's optimiser around AdamW, whose parameters are the flat shares of this process."""
        return self.wrapped.optimizer


_KINDS = {None: Weights, "FSDP": ShardedWeights, "DEEPSPEED": DeepSpeedWeights}


def weights_of(accelerator: "Accelerator", model: torch.nn.Module, settings: "PretrainSettings") -> Weights:
    """The model's weights, laid over the processes as the launch asks for.

    Raises:
        ValueError: DeepSpeed with a stage that is not supported.
    """
    return _KINDS[sharding_of(accelerator)](accelerator, model, settings)


def _local(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def _shard_like(whole: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """This process's part of a tensor that all processes have, laid out as another."""
    from torch.distributed.tensor import distribute_tensor

    whole = whole.to(like.device)
    if not hasattr(like, "device_mesh"):
        return whole
    return distribute_tensor(whole, like.device_mesh, like.placements, src_data_rank=None)
