"""Architectures from graphs that other tools write: DOT, ONNX, torch.fx. ``Architecture.from_...`` are the ways in."""
