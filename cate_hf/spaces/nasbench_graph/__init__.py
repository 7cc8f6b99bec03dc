"""NAS-Bench-Graph: trees of four graph operations."""
