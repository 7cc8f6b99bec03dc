# make demo | test | test-slow | fuzz | lint | bench; each builds .venv first when it is missing or setup.cfg changed.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help venv demo test test-slow fuzz lint format bench clean

help:
	@echo "make demo       see the package at work, a few minutes; files in demo-output/"
	@echo "make test       the tests; make test-slow: those of over a minute"
	@echo "make fuzz       damaged files for every reader, MINUTES=5 of them; finds in fuzz-output/"
	@echo "make lint       ruff check and format --check; make format: apply"
	@echo "make bench      speed of importing and encoding, as ratios"

venv: $(READY)

# torch first and by itself: its pinned version is the CPU build here, any other would come with gigabytes of CUDA.
$(READY): setup.cfg pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "no python3.11 or python3 found; set PYTHON=..." >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(READY)
	$(BIN)/python -m cate_hf.demo --output demo-output

# One thread for each of the test processes, and none that spins while it waits: they get into each other's way.
test: $(READY)
	OMP_NUM_THREADS=1 CATE_HF_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-slow: $(READY)
	$(BIN)/python -m pytest -m slow

MINUTES ?= 5
fuzz: $(READY)
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
	$(BIN)/python bench/import_time.py
	$(BIN)/python bench/encode_speed.py

clean:
	rm -rf build dist demo-output fuzz-output .pytest_cache .ruff_cache .hypothesis *.egg-info
