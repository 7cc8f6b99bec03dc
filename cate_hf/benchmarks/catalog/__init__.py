"""The benchmarks, one module each, named like the benchmark; each defines `BENCHMARK`, a subclass of `Benchmark`."""
