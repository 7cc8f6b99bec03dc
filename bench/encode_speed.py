"""Speed of encoding all cells of NAS-Bench-101 by `Encoder.encode`, beside the same model fed with one dict a cell.

Usage: python bench/encode_speed.py [--model NAME_OR_PATH] [--cells N] [--onnx]
"""

import argparse
import resource
import time

import numpy as np
import torch

from cate_hf import get_space, load_encoder

COMPARED = 8192
BATCH = 1024
FEW = 4095  # so few at a time are encoded without compiled kernels


def processor_time(encoder, table, at_a_time: int) -> float:
    """Seconds, of all threads."""
    encoder.encode(table[:at_a_time])
    start = time.process_time()
    for first in range(0, len(table), at_a_time):
        encoder.encode(table[first : first + at_a_time])
    return time.process_time() - start


def with_and_without_kernels(model: str, table) -> None:
    for precision in ("float32", "bfloat16"):
        encoder = load_encoder(model, precision=precision)
        without, with_kernels = (processor_time(encoder, table, count) for count in (FEW, len(table)))
        gap = np.abs(encoder.encode(table[:FEW]) - encoder.encode(table)[:FEW]).max()
        print(
            f"{precision}, {len(table):,} cells: {with_kernels:.2f} s of processor time with kernels, {without:.2f} "
            f"without; ratio {without / with_kernels:.2f}; largest difference {gap:.1e}"
        )


def beside_onnx(model: str, table) -> None:
    encoders = {"torch": load_encoder(model, device="cpu"), "onnx": load_encoder(model, backend="onnx")}
    for count, times in ((1, 50), (64, 20), (3000, 3)):
        seconds: dict[str, list[float]] = {name: [] for name in encoders}
        for _ in range(times):
            for name, encoder in encoders.items():
                start = time.process_time()
                encoder.encode(table[:count])
                seconds[name].append(time.process_time() - start)
        taken = ", ".join(f"{name} {1e3 * np.median(values):.1f} ms" for name, values in seconds.items())
        print(f"{count:,} cells: {taken} of processor time, median of {times}")
    gap = np.abs(encoders["torch"].encode(table[:3000]) - encoders["onnx"].encode(table[:3000])).max()
    print(f"largest difference {gap:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="nasbench101")
    parser.add_argument("--cells", type=int, default=None, help="the first so many cells; all by default")
    parser.add_argument("--onnx", action="store_true", help="by onnxruntime beside torch, few at a time; nothing else")
    options = parser.parse_args()
    encoder = load_encoder(options.model)
    table = get_space(encoder.space).enumerate()[: options.cells]
    if options.onnx:
        beside_onnx(options.model, table)
        return
    encoder.encode(table[:BATCH])
    with_and_without_kernels(options.model, table[: 8 * FEW])

    start = time.perf_counter()
    encoder.encode(table, progress=True)
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    speed = len(table) / seconds
    print(f"Encoder.encode: {len(table):,} cells in {seconds:.1f} s, {speed:,.0f} cells/s, at most {memory:.2f} GiB")

    dicts = [cell.to_dict() for cell in table[:COMPARED]]
    start = time.perf_counter()
    parts = []
    for first in range(0, len(dicts), BATCH):
        batch = encoder.tokenizer(dicts[first : first + BATCH], return_tensors="pt")
        with torch.inference_mode():
            parts.append(encoder.model(**batch).pooler_output.numpy())
    plain = len(dicts) / (time.perf_counter() - start)
    difference = np.abs(np.concatenate(parts) - encoder.encode(table[:COMPARED])).max()
    print(f"one dict a cell: {plain:,.0f} cells/s; largest difference {difference:.1e}")
    print(f"Encoder.encode / one dict a cell: {speed / plain:.2f}")

    exact = encoder.encode(table)
    fast = load_encoder(options.model, precision="bfloat16")
    fast.encode(table[:BATCH])
    start = time.perf_counter()
    rounded = fast.encode(table, progress=True)
    ratio = len(table) / (time.perf_counter() - start) / speed
    gap, taken = np.abs(rounded - exact), len(table) / speed / ratio
    print(f"bfloat16: {taken:.1f} s; differs by {gap.mean():.4f} in the mean, {gap.max():.3f} at most")
    print(f"bfloat16 / float32: {ratio:.2f}")


if __name__ == "__main__":
    main()
