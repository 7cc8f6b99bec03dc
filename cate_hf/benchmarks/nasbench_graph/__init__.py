"""NAS-Bench-Graph: results on eight graphs."""
