# `make run` and `make test` need Python 3.11 or newer and the package registries, nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: run test lint build bench bench-quick faults soak clean

run: $(VENV)/ready
	@$(BIN)/recodex-monitor demo

test: $(VENV)/ready
	$(BIN)/python -m twisted.trial tests

lint: $(VENV)/ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

build: $(VENV)/ready-dev
	rm -rf build dist
	$(BIN)/python -m build --outdir dist .

# The benchmark's load generator is C: it needs cc and libzmq's headers, and says so.
bench: $(VENV)/ready
	$(BIN)/python -m benchmarks

bench-quick: $(VENV)/ready
	$(BIN)/python -m benchmarks --quick

faults: $(VENV)/ready
	$(BIN)/python -m tests.faults

soak: $(VENV)/ready
	$(BIN)/python -m tests.faults --soak

clean:
	rm -rf $(VENV) build dist *.egg-info _trial_temp* .hypothesis .mypy_cache .ruff_cache

$(VENV)/ready: setup.cfg setup.py pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

$(VENV)/ready-dev: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@
