# `make run` and `make test` need Python 3.11 or newer and the package registries, nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

# `make install` reads these; install/install.sh says what they are for.
export DESTDIR PREFIX SYSCONFDIR UNITDIR PYTHON PURE

.PHONY: help run run-cluster unit test node wstest lint lint-pages format hooks build bench bench-quick bench-cluster faults soak \
	install uninstall deb rpm packages-test container-test clean

help:  ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

run: $(VENV)/ready  ## Run a monitor with jobs that are played, and show it in a browser
	@$(BIN)/recodex-monitor demo

run-cluster: $(VENV)/ready  ## Run three nodes with an engine of their own; k kills the one that owns
	@$(BIN)/recodex-monitor demo --nodes 3

unit: $(VENV)/ready  ## Run the unit tests
	$(BIN)/python -m tests unit

test: $(VENV)/ready  ## Run all tests; those that need more programs than Python are skipped
	$(BIN)/python -m tests

node: tests/node_modules/ready  ## Install Node.js packages whose tests are skipped without them

wstest: $(VENV)/wstest/ready  ## Install Autobahn's test suite, if there is a Python 2.7 for it

lint: $(VENV)/ready-dev  ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lint-pages: tests/node_modules/ready  ## Check the pages, their scripts and style sheets; needs Java
	tests/pages/lint.sh

format: $(VENV)/ready-dev  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

hooks: $(VENV)/ready-dev  ## Check style, types and unit tests before every commit
	$(BIN)/pre-commit install

faults: $(VENV)/ready wstest  ## Play all faults in full against real monitors (see docs/reliability.md)
	$(BIN)/python -m tests.faults

soak: $(VENV)/ready  ## Play faults on one monitor for ten minutes, then at random on a cluster
	$(BIN)/python -m tests.faults --soak
	$(BIN)/python -m tests.faults --soak --cluster

# The benchmark's load generator is C: it needs cc and libzmq's headers, and says so.
bench: $(VENV)/ready  ## Measure speed in full (see docs/performance.md)
	$(BIN)/python -m benchmarks

bench-quick: $(VENV)/ready  ## Measure speed in a few minutes
	$(BIN)/python -m benchmarks --quick

bench-cluster: $(VENV)/ready  ## Measure nodes that share an engine beside one alone (see docs/cluster.md)
	$(BIN)/python -m benchmarks --cluster

build: $(VENV)/ready-dev  ## Build the wheel and the sdist into dist/
	rm -rf build/lib build/bdist.* dist/*.whl dist/*.tar.gz
	$(BIN)/python -m build --outdir dist .

deb:  ## Build the DEB into dist/
	install/build-deb.sh

rpm:  ## Build the RPM into dist/
	install/build-rpm.sh

install:  ## Install into the system with a private environment
	install/install.sh

uninstall:  ## Remove what `make install` has installed
	install/uninstall.sh

packages-test: $(VENV)/ready  ## Install dist's DEB and RPM into a Debian that it boots; needs root
	$(BIN)/python -m tests.packages

container-test: $(VENV)/ready  ## Build the container and run compose.yml's services; needs root
	$(BIN)/python -m tests.containers

clean:  ## Remove everything that these commands made
	rm -rf $(VENV) tests/node_modules build dist *.egg-info _trial_temp* .hypothesis .mypy_cache .ruff_cache

$(VENV)/ready: setup.cfg setup.py pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

$(VENV)/ready-dev: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

$(VENV)/wstest/ready: tests/faults/wstest.py | $(VENV)/ready
	$(BIN)/python -m tests.faults.wstest

tests/node_modules/ready: tests/package.json
	npm install --prefix tests --silent --no-audit --no-fund
	touch $@
