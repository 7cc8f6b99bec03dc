"""NAS-Bench-101: its published files, and tables of them."""
