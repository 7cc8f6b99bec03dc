"""Pre-training by ZeRO of DeepSpeed on CPUs, which Accelerate does not offer: the command with an accelerator that is
told to be one of DeepSpeed. With accelerate_configs/deepspeed_zero2.yaml this module is launched in place of it."""

import sys

from accelerate import Accelerator, DistributedType
from accelerate.state import PartialState
from accelerate.utils import DeepSpeedPlugin

from cate_hf.training import command


class DeepSpeedAccelerator(Accelerator):
    def __init__(self, **options):
        super().__init__(**options)
        plugin = DeepSpeedPlugin()
        plugin.set_mixed_precision("no")
        self.deepspeed_engine_wrapped = None
        self.state.distributed_type = DistributedType.DEEPSPEED
        PartialState._shared_state["distributed_type"] = DistributedType.DEEPSPEED
        plugin.select(_from_accelerator_state=True)
        self.state.deepspeed_plugins = plugin


if __name__ == "__main__":
    command.Accelerator = DeepSpeedAccelerator
    sys.exit(command.main())
