"""One architecture, tables of them, their files and pictures."""
