# The commands of this project; `make help` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
INSTALL := -m pip install --quiet --disable-pip-version-check
# What is built here (pykafka) is built with the locked setuptools, not with whatever is newest.
LOCKED := $(INSTALL) --require-hashes --no-build-isolation --use-pep517

.DEFAULT_GOAL := help

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z.-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: .venv
.venv: $(STAMP) ## only the environment, with the commands in .venv/bin

$(STAMP): requirements-build.txt requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: $(PYTHON) is older than Python 3.11; use make PYTHON=/path/to/a/newer/one" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(LOCKED) -r requirements-build.txt
	$(BIN)/python $(LOCKED) -r requirements-dev.txt
	$(BIN)/python $(INSTALL) --no-build-isolation --no-deps --editable .
	@touch $@

# The whole of each file is made anew from pyproject.toml; what is pinned stays where nothing says otherwise.
COMPILE := UV_CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/python -m uv pip compile --quiet --universal \
	--python-version 3.11 --generate-hashes --annotation-style line pyproject.toml $(LOCK_ARGS)

.PHONY: lock
lock: $(STAMP) ## requirements*.txt from pyproject.toml, with hashes (LOCK_ARGS=--upgrade: newer versions, too)
	$(COMPILE) --extra all --group dev -o requirements-dev.txt
	$(COMPILE) --extra all -c requirements-dev.txt -o requirements.txt
	$(COMPILE) --extra all -c requirements-dev.txt --group bench -o requirements-bench.txt
	$(COMPILE:pyproject.toml=) -c requirements-dev.txt --group build -o requirements-build.txt

.PHONY: demo
demo: $(STAMP) ## run the whole topology on real Kafka and MariaDB (KAFKA=4: the newest; DB=sqlite: no MariaDB), and count
	$(BIN)/python -m demo $(if $(DB),--database $(DB)) $(if $(KAFKA),--kafka $(KAFKA))

.PHONY: down
down: $(STAMP) ## end everything that `make demo` started
	$(BIN)/python -m demo --down

.PHONY: packages
packages: ## Varnish, Chromium and PHP for the tests, from Debian's packages (only as root)
	@tests/packages.sh

# That share the tests, each with servers of its own; 0: this one has them all.
PROCESSES := 0
SHARED := --dist loadfile --numprocesses

.PHONY: test
test: $(STAMP) packages ## every test, against the real parts (PROCESSES=2: two at a time)
	$(BIN)/python -m pytest $(SHARED) $(PROCESSES) $(PYTEST_ARGS)

# What is asked of real servers, asked of SQLite and of the Kafka in memory, which need none.
IN_PROCESS := tests/contract tests/service/test_sql*.py tests/service/test_exactly_once.py -k "sqlite or memory"

.PHONY: test-unit
test-unit: $(STAMP) ## the tests that need no service
	$(BIN)/python -m pytest $(SHARED) 2 tests/unit tests/golden $(PYTEST_ARGS)
	$(BIN)/python -m pytest $(SHARED) 2 $(IN_PROCESS) $(PYTEST_ARGS)

.PHONY: coverage
coverage: $(STAMP) ## which lines the tests that need no service reach, the least first
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest tests/unit tests/golden $(PYTEST_ARGS)
	$(BIN)/coverage run -m pytest $(IN_PROCESS) $(PYTEST_ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

.PHONY: mutants
mutants: $(STAMP) ## changes of the code that no test notices (half an hour, then only what is new; MUTANTS='elworkers.core.*')
	$(BIN)/mutmut run $(MUTANTS)
	$(BIN)/mutmut results

.PHONY: chaos
chaos: $(STAMP) ## kills and outages for ten minutes (CHAOS_SECONDS=480), and a table of what was lost or doubled (CHAOS_MODE=--exactly-once: docs/chaos.md)
	PYTHONPATH=tests $(BIN)/python -m chaos $(if $(CHAOS_SECONDS),--seconds $(CHAOS_SECONDS)) $(CHAOS_MODE)

.PHONY: bench
bench: $(STAMP) .run/rdkafka/done ## every measurement, with tables and a plot in bench/results/ (half an hour; needs wrk)
	$(BIN)/python $(LOCKED) -r requirements-bench.txt
	$(BIN)/python -m bench

# An environment of its own, because pykafka is another one with its extension. Without librdkafka's headers it is built
# without, and the measurement says what it left out.
.run/rdkafka/done:
	$(BIN)/python -m venv .run/rdkafka
	.run/rdkafka/bin/python $(LOCKED) -r requirements-build.txt
	RDKAFKA_INSTALL=system .run/rdkafka/bin/python $(LOCKED) --no-cache-dir --no-binary pykafka -r requirements.txt
	touch $@

.PHONY: lint
lint: $(STAMP) ## style and common mistakes
	$(BIN)/ruff check .
	@$(BIN)/ruff check --quiet --preview --select CPY001 . || { echo "make: 'make headers' writes these lines" >&2; exit 1; }
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache --no-logo

.PHONY: headers
headers: ## the two lines of the license at the head of each Python file that lacks them
	@$(PYTHON) .ci/headers.py

.PHONY: types
types: $(STAMP) ## the type checker
	$(BIN)/mypy

.PHONY: tables
tables: $(STAMP) ## the tables in docs/original.md and docs/instances.md anew
	PYTHONPATH=tests $(BIN)/python -m original
	PYTHONPATH=tests $(BIN)/python -m option_tables

.PHONY: clean
clean: ## remove the environment and the caches
	rm -rf $(VENV) mutants .mypy_cache .ruff_cache .pytest_cache .coverage* build *.egg-info
