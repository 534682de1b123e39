# `make demo` and `make test` are all a fresh machine needs: they build .venv themselves.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= demo
WORKERS ?= 2
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# By itself and before everything else: pip finds a build of this version without several GB for GPUs.
TORCH ?= torch==2.13.0

# One thread per process: the tests already use every core through pytest -n.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 POLARS_MAX_THREADS=1

.DEFAULT_GOAL := help
.PHONY: help demo test lint wheel format bench clean

help: ## say what there is
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

demo: $(VENV)/.core ## forecast from the bundled measurements; pictures in ./demo
	$(BIN)/emergecast demo -o $(OUT)

test: lint wheel ## everything that must hold: lint, types, import rules, the wheel, tests
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

lint: $(VENV)/.dev ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

wheel: $(VENV)/.dev ## build the wheel and try it in an empty environment of every Python here
	$(BIN)/python tests/try_wheel.py

format: $(VENV)/.dev ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev ## speed, in ratios, on one core
	$(ONE_THREAD) $(BIN)/python -m performance

clean: ## remove .venv, caches and the demo's pictures
	rm -rf $(VENV) $(OUT) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps make a second run fast, and install again when pyproject.toml has changed.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "emergecast needs Python 3.11 or later; '$(PYTHON)' is" \
			"$$($(PYTHON) --version 2>/dev/null || echo missing). Try: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; \
		exit 1; }
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.core: pyproject.toml | $(VENV)/.made
	$(PIP) --editable .
	touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.made
	$(PIP) '$(TORCH)'
	$(PIP) --editable '.[dev,pandas,arviz,referees,lab]'
	touch $@ $(VENV)/.core
