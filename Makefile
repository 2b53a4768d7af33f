# Everything needed to run, test and measure Modelkeep, from a bare machine with Python 3.11 or newer, git and make.
# Python packages come from hash-locked files only; `make lock` is the one target that chooses versions.

PYTHON ?= python3
JOBS ?= 3
ARGS ?=
BIN := .venv/bin
UV := $(BIN)/uv
INSTALL := $(UV) pip install --quiet --python $(BIN)/python
LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header $(ARGS)
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist loadfile
COVERAGE := --cov --cov-report=term:skip-covered --cov-fail-under=90
SYSTEM_TOOLS := strace

# Where this is set, every start of every process would compile all its packages again.
unexport PYTHONDONTWRITEBYTECODE

READY_TO_INSTALL := .venv/ready-to-install
READY_TO_SERVE := .venv/ready-to-serve
READY_TO_TEST := .venv/ready-to-test
READY_MLFLOW2 := .venv-mlflow2/ready

.DEFAULT_GOAL := help
.PHONY: help setup serve test test-all coverage lint format bench lock system-deps clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY_TO_SERVE) ## Make .venv with what serving needs; ends with .venv/bin/modelkeep

serve: $(READY_TO_SERVE) ## Start the server; ARGS="--port 5001 --data DIR" goes to it
	$(BIN)/modelkeep serve $(ARGS)

test: $(READY_TO_TEST) $(READY_MLFLOW2) ## Run the fast tests; ARGS="tests/search -k name" goes to pytest
	$(PYTEST) -m "not slow" $(ARGS)

test-all: $(READY_TO_TEST) $(READY_MLFLOW2) ## Run every test, slow ones too, with deep property tests
	HYPOTHESIS_PROFILE=deep $(PYTEST) $(ARGS)

coverage: ## Run the fast tests and demand 90 % of src, server processes included
	$(MAKE) test ARGS="$(COVERAGE) $(ARGS)"

lint: $(READY_TO_TEST) ## Check style, format, types and import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY_TO_TEST) ## Rewrite the code in the one format and sort its imports
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(READY_TO_TEST) ## Measure beside an MLflow server; ARGS="--scale 0.1 --only reads" goes to it
	$(BIN)/python -m bench $(ARGS)

lock: $(READY_TO_INSTALL) ## Choose versions anew within pyproject.toml; ARGS=--upgrade to raise them
	$(BIN)/python -c 'import tomllib; print("uv", "editables", *tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
		| $(LOCK) - -o requirements-setup.lock
	$(LOCK) pyproject.toml -o requirements.lock
	$(LOCK) pyproject.toml --group test --group lint -c requirements.lock -o requirements-test.lock
	printf 'mlflow<3\nscikit-learn\nsetuptools<81\n' | $(LOCK) - -o tests/mlflow2-requirements.lock

system-deps: ## Install the system tools of the slow tests, if any is missing (root on Debian or Ubuntu)
	@missing=$$(for tool in $(SYSTEM_TOOLS); do command -v $$tool >/dev/null || echo $$tool; done); \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "missing for the slow tests, install by hand:" $$missing >&2; exit 1; \
	fi; \
	apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing

clean: ## Remove both environments and everything that tools left behind
	rm -rf .venv .venv-mlflow2 .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis htmlcov dist .coverage .coverage.*
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv

$(READY_TO_INSTALL): requirements-setup.lock | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-setup.lock
	@touch $@

$(READY_TO_SERVE): $(READY_TO_INSTALL) requirements.lock pyproject.toml
	$(INSTALL) --require-hashes --compile-bytecode -r requirements.lock
	$(INSTALL) --no-build-isolation --no-deps --editable .
	@touch $@

$(READY_TO_TEST): $(READY_TO_SERVE) requirements-test.lock
	$(INSTALL) --require-hashes -r requirements-test.lock
	@touch $@

$(READY_MLFLOW2): tests/mlflow2-requirements.lock | $(READY_TO_INSTALL)
	$(UV) venv --quiet --allow-existing --python $(BIN)/python .venv-mlflow2
	$(UV) pip install --quiet --python .venv-mlflow2/bin/python --require-hashes -r $<
	@touch $@
