"""NAS-Bench-301: labels and surrogates."""
