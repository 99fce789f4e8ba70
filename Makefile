# Two commands do all the set-up: make demo, make test. Python 3.11+ is all they need.
PYTHON ?= python3
EXPORT ?=
BIN := .venv/bin

.PHONY: demo test lint types bench bench-full faults clean

demo: .venv/installed
	@$(BIN)/graphwriter demo $(EXPORT)

test: .venv/installed
	@$(BIN)/python -m pytest $(TESTS)

lint: .venv/installed
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: .venv/installed
	@$(BIN)/mypy graphwriter tests
	@$(BIN)/mypy bench/*.py
	@$(BIN)/mypy examples

# The fuzz, the soak and the long fault campaign, an hour: FAULTS="--seed 7 --faults 50" for others.
FAULTS ?= --faults 200 --events 100000
faults: .venv/installed
	@$(BIN)/python tests/faults/fuzz.py --cases 1000000
	@$(BIN)/python tests/faults/soak.py
	@$(BIN)/python tests/faults/campaign.py $(FAULTS)

bench: .venv/bench
	@$(BIN)/python bench/run.py short

bench-full: .venv/bench
	@$(BIN)/python bench/run.py full

.venv/bench: .venv/installed
	@$(BIN)/python -m pip install --quiet --editable '.[bench]'
	@touch $@

.venv/installed: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "graphwriter needs Python 3.11 or newer: make PYTHON=python3.12 …"; exit 1; }
	@echo "installing into .venv, once"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --upgrade pip \
		|| { echo "pip cannot reach the package index: check the network, or PIP_INDEX_URL"; exit 1; }
	@$(BIN)/python -m pip install --quiet --editable '.[test,lint]' \
		|| { echo "the packages did not install: see pip's lines above"; exit 1; }
	@touch $@

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
