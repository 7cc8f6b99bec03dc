# make demo | test | test-long | test-slow | fuzz | lint | bench; each builds the environment first when it is missing or setup.cfg
# changed: .venv, or .venv-python3.12 with PYTHON=python3.12.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv$(if $(filter command line environment,$(origin PYTHON)),-$(notdir $(PYTHON)))
BIN := $(VENV)/bin
READY := $(VENV)/.ready
HOUSE := build/house

.PHONY: help venv demo docs house test test-long test-slow fuzz lint types format bench clean

help:
	@echo "make demo       see the package at work, a few minutes; files in demo-output/"
	@echo "make docs       the site, in build/site"
	@echo "make test       the quick tests; make test-long: those of 5 seconds to a minute; make test-slow: longer ones"
	@echo "make test PYTHON=python3.12   the same in an environment of its own"
	@echo "make fuzz       damaged files for every reader, MINUTES=5 of them; finds in fuzz-output/"
	@echo "make lint       ruff, the order of the rooms (import-linter), types (mypy); make format: apply ruff"
	@echo "make bench      speed of importing and encoding, as ratios"

venv: $(READY)

# torch first and by itself: its pinned version is the CPU build here, any other would come with gigabytes of CUDA.
$(READY): setup.cfg pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "no python3.11 or python3 found; set PYTHON=..." >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(READY)
	$(BIN)/python -m cate_hf.demo --output demo-output

# Its packages are no part of .venv until a site is wanted.
$(VENV)/.docs: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

docs: $(VENV)/.docs house
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --clean

# One thread for each of the test processes, and none that spins while it waits: they get into each other's way.
PYTEST = OMP_NUM_THREADS=1 CATE_HF_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n 2 --dist loadfile --durations 10

test: $(READY)
	$(PYTEST) -m "not slow and not long"

test-long: $(READY)
	$(PYTEST) -m long

test-slow: $(READY)
	$(BIN)/python -m pytest -m slow

MINUTES ?= 5
fuzz: $(READY)
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(MAKE) --no-print-directory types

# import-linter, mypy and the site read a copy in which modeling/ and tokenization/ lie where they are installed.
house:
	@rm -rf $(HOUSE) && mkdir -p $(HOUSE)
	@cp -r cate_hf $(HOUSE)/ && cp -r modeling tokenization hub_cards $(HOUSE)/cate_hf/

types: $(READY) house
	cd $(HOUSE) && PYTHONPATH=. $(CURDIR)/$(BIN)/lint-imports --no-cache --no-logo $(CURDIR)/pyproject.toml
	cd $(HOUSE) && $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml --cache-dir $(CURDIR)/.mypy_cache -p cate_hf

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
	$(BIN)/python bench/import_time.py
	$(BIN)/python bench/encode_speed.py

clean:
	rm -rf build dist demo-output fuzz-output .pytest_cache .ruff_cache .mypy_cache .hypothesis *.egg-info
