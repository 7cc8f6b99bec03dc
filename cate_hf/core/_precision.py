"""What a device computes natively."""


def has_bfloat16(device_type: str) -> bool:
    """Whether a device multiplies bfloat16 natively; where it does not, it takes longer than float32."""
    import torch

    if device_type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device_type != "cpu":
        return True
    if hasattr(torch.cpu, "get_capabilities"):
        return any(present is True for name, present in torch.cpu.get_capabilities().items() if "bf16" in name)
    return getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
