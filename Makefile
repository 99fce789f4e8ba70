# Two commands do the whole set-up: make demo, make test. They need Python 3.11+ only.
PYTHON ?= python3
EXPORT ?=
BIN := .venv/bin
# setuptools warns of conf/, which has the name of a package on purpose.
PIP = PYTHONWARNINGS='ignore:Editable installation' $(BIN)/python -m pip install --quiet

.PHONY: demo test lint types docs bench bench-full faults lock clean

demo: .venv/installed
	@$(BIN)/graphwriter demo $(EXPORT)

test: .venv/installed
	@$(BIN)/python -m pytest $(TESTS)

lint: .venv/installed
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/compose-lint check --quiet compose.yaml

types: .venv/installed
	@$(BIN)/mypy graphwriter tests
	@$(BIN)/mypy bench/*.py
	@$(BIN)/mypy examples

# The site, in build/docs. Warnings are errors, and so are links to external scripts and styles.
docs: .venv/docs
	@$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs build/docs
	@! grep -rlE '<(script|link|img)[^>]+(src|href)="(https?:)?//' build/docs --include='*.html'
	@echo "build/docs/index.html"

.venv/docs: .venv/installed
	@$(PIP) --editable '.[docs]'
	@touch $@

# Fuzzing, soak test and the long fault campaign, up to an hour. FAULTS="--seed 7 --faults 50" changes it.
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
	@$(PIP) --editable '.[bench]'
	@touch $@

# Pins every required package, with hashes: the first file is for the container, the second for CI.
# Run it after a change of setup.cfg; UPGRADE=--upgrade takes new versions.
UPGRADE ?=
COMPILE = sed -n 's/^requires = \["\(.*\)"\]$$/\1/p' pyproject.toml | $(BIN)/uv pip compile --quiet --universal \
	--python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" $(UPGRADE)
lock: .venv/installed
	@$(BIN)/python -m pip install --quiet uv
	@$(COMPILE) --output-file requirements.lock setup.cfg -
	@$(COMPILE) --all-extras --constraint requirements.lock --output-file requirements-dev.lock setup.cfg -

# In CI the locked versions, elsewhere the newest that setup.cfg allows.
ifdef CI
INSTALL = $(PIP) --require-hashes --requirement requirements-dev.lock \
	&& $(PIP) --no-deps --no-build-isolation --editable .
else
INSTALL = $(PIP) --editable '.[test,lint]'
endif

.venv/installed: setup.cfg pyproject.toml $(if $(CI),requirements-dev.lock)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "graphwriter needs Python 3.11 or newer: make PYTHON=python3.12 …"; exit 1; }
	@echo "installing into .venv, once"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --upgrade pip \
		|| { echo "pip cannot reach the package index: check the network, or PIP_INDEX_URL"; exit 1; }
	@$(INSTALL) \
		|| { echo "the packages did not install: see pip's lines above"; exit 1; }
	@touch $@

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
