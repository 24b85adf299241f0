# Two commands are the whole set-up: `make demo` and `make test`. Both make .venv, fetch what is missing and run.
#
#   make demo       from nothing to a closed loop; DEMO_ARGS="--once" runs to the end of the data
#   make test       lint, types, import rules and every test but the long ones; PYTEST_ARGS="-k clock" narrows
#   make test-long  the tests that take minutes
#   make coverage   the tests that need no service, with coverage of branches and its floor
#   make bench      cost per event against the peers; BENCH_ARGS are handed on
#   make lock       resolve the dependencies anew into the lock files
#   make clean      stop local services and remove everything that was made here
#
# PYTHON names the interpreter .venv is made with (3.11 or newer; default: the first that is found); WORKERS is the
# number of processes that tests run in.

SHELL := /bin/bash
BIN := .venv/bin
PYTHON ?=
export PYTHON
WORKERS ?= 3
# Hundreds of processes are started: compiling the modules anew costs each of them .7 s.
unexport PYTHONDONTWRITEBYTECODE
# Several processes share the cores already: threads that spin for each other's work only take time from the tests.
export OMP_NUM_THREADS ?= 1

# The dashboard's scripts: linter, types and unit tests by Deno, which comes as a wheel like everything else.
DENO := DENO_DIR=.venv/deno DENO_NO_UPDATE_CHECK=1 NO_COLOR=1 $(BIN)/deno
DENO_ARGS := --config tests/dashboard/deno.json
SCRIPTS := stream_app/web/static

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo lint unit coverage test test-long bench lock clean

help:
	@sed -n 's/^#   //p' Makefile

setup:
	@scripts/setup runtime

setup-dev:
	@scripts/setup dev

# Starts what does not run yet, and stops only that at the end.
demo: setup
	@$(BIN)/plumbline services run --port 0 --redis-port 0 -- $(BIN)/plumbline demo $(DEMO_ARGS)

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --config-file tests/mypy.ini tests benchmarks
	$(BIN)/lint-imports
	$(BIN)/vulture
	$(DENO) lint --quiet $(DENO_ARGS) $(SCRIPTS) tests/dashboard
	$(DENO) test --quiet --no-prompt --reporter=dot $(DENO_ARGS) tests/dashboard
	$(DENO) check --quiet $(DENO_ARGS) $(SCRIPTS)

unit: setup-dev
	$(BIN)/python -m pytest tests/unit tests/laws tests/golden tests/architecture $(PYTEST_ARGS)

# The same with coverage of branches; fails below the floor in pyproject.toml.
coverage: setup-dev
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n $(WORKERS) tests/unit tests/laws tests/golden tests/architecture $(PYTEST_ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# Three processes, as most tests wait more than they compute, each with a broker of its own; files with slow fixtures
# come first and stay together.
test: lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

test-long: setup-dev
	$(BIN)/python -m pytest --long -m long $(PYTEST_ARGS)

bench: setup-dev
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

lock:
	scripts/lock

clean:
	@if [ -x $(BIN)/plumbline ]; then $(BIN)/plumbline services down; fi
	rm -rf .venv .plumbline .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find stream_app agents schemas tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
