# Everything a person or a machine does with this project starts here. `make help` lists it.
# Needs only Python 3.11 or newer, make and git; everything else is installed into .venv from requirements.lock.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
INSTALLED := $(VENV)/.installed
BENCH := rally_pipeline_tests/bench
BENCH_VENV := .venv-bench
BENCH_INSTALLED := $(BENCH_VENV)/.installed
# Apache Superset needs other versions of what this project needs: an environment of its own.
SUPERSET_VENV := .venv-superset
SUPERSET_LOCK := rally_pipeline_tests/bi/superset.lock
export RALLY_HOME ?= $(CURDIR)/.rally
# Bytecode is compiled once at installation; without it every start costs seconds.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help audit install demo docs test test-slow test-deep test-bi eval fuzz ui lint format lock bench readers clean soak

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

install: $(INSTALLED) ## Make .venv and install the locked packages

# uv installs in seconds what pip installs in a minute; where uv cannot be had, pip does it from the same lock.
$(INSTALLED): requirements.lock pyproject.toml
	@echo "installing into $(VENV) (first time: about half a minute)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@if $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION) \
	    && $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode -r requirements.lock; \
	  then :; \
	  else echo "uv could not install; using pip" \
	    && $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock; fi
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q rally_pipeline
	@touch $@

demo: $(INSTALLED) ## Run the whole pipeline offline on demo data and print the leaderboard
	@$(BIN)/rally-pipeline demo

test: $(INSTALLED) ## Run the tests (starts its own PostgreSQL; no network)
	@$(BIN)/python -m pytest -n 2 --dist loadscope -m "not slow and not deep" $(PYTEST_ARGS)

test-slow: $(INSTALLED) ## Run the long tests: whole demo runs, the UI, daemons, killed processes, long histories
	@$(BIN)/python -m pytest -n 2 --dist loadscope -m "slow and not deep" $(PYTEST_ARGS)

test-deep: $(INSTALLED) ## Run what takes longest: kills at any point, races, random histories (a quarter of an hour)
	@$(BIN)/python -m pytest -n 2 --dist loadscope -m deep --timeout=1500 $(PYTEST_ARGS)

# The first call installs Superset from its own lock (about a minute); Chromium makes the pictures in build/.
test-bi: $(INSTALLED) $(SUPERSET_VENV)/.installed ## Import what BI tools get into a real Apache Superset and look (minutes)
	@SUPERSET_ENV=$(CURDIR)/$(SUPERSET_VENV) $(BIN)/python -m pytest -n 0 --timeout=0 \
	  rally_pipeline_tests/bi/check_superset.py $(PYTEST_ARGS)

$(SUPERSET_VENV)/.installed: $(SUPERSET_LOCK) $(INSTALLED)
	@echo "installing Apache Superset into $(SUPERSET_VENV)"
	@test -x $(SUPERSET_VENV)/bin/python || $(PYTHON) -m venv $(SUPERSET_VENV)
	@if test -x $(BIN)/uv; then $(BIN)/uv pip install --quiet --python $(SUPERSET_VENV)/bin/python --require-hashes \
	    --compile-bytecode -r $(SUPERSET_LOCK); \
	  else $(SUPERSET_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	    -r $(SUPERSET_LOCK); fi
	@touch $@

ui: $(INSTALLED) ## Open the Dagster UI on http://127.0.0.1:3000 with the same home
	@$(BIN)/rally-pipeline ui

lint: $(INSTALLED) ## Check style, types and who imports whom
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: $(INSTALLED) ## Let ruff tidy the code
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format --quiet .

eval: $(INSTALLED) ## Score the reading of brokerage notes on the labelled texts (EVAL_ARGS=--json FILE)
	@$(BIN)/python -m rally_pipeline_tests.eval $(EVAL_ARGS)

bench: $(BENCH_INSTALLED) ## Time everything beside what one would use instead: half an hour (BENCH_ARGS="--rows 100000 --repeats 1": minutes)
	@$(BENCH_VENV)/bin/python -m rally_pipeline_tests.bench $(BENCH_ARGS)

# What one would use instead (dlt, ADBC, polars) is no part of the project: it has an environment of its own.
$(BENCH_INSTALLED): $(INSTALLED) $(BENCH)/peers.lock
	@echo "installing into $(BENCH_VENV)"
	@test -x $(BENCH_VENV)/bin/python || $(PYTHON) -m venv $(BENCH_VENV)
	@if $(BIN)/uv pip install --quiet --python $(BENCH_VENV)/bin/python --require-hashes --compile-bytecode \
	    -r requirements.lock -r $(BENCH)/peers.lock; \
	  then :; \
	  else echo "uv could not install; using pip" \
	    && $(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	      -r requirements.lock -r $(BENCH)/peers.lock; fi
	@$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

readers: $(INSTALLED) ## Let fifty readers loose on a nightly run for a minute, on both engines (READERS_ARGS=--help)
	@$(BIN)/python -m rally_pipeline_tests.bench.readers $(READERS_ARGS)

soak: $(INSTALLED) ## Live through a whole quarter with faults, and every fault of every source (minutes)
	@RALLY_SOAK=1 $(BIN)/python -m pytest -s --timeout=0 rally_pipeline_tests/integration/test_quarter.py \
	  rally_pipeline_tests/integration/test_faults.py $(PYTEST_ARGS)

fuzz: $(INSTALLED) ## Read 100,000 random and broken documents of each kind (about half an hour)
	@RALLY_FUZZ_EXAMPLES=$${RALLY_FUZZ_EXAMPLES:-100000} \
	  $(BIN)/python -m pytest --timeout=0 rally_pipeline_tests/unit/test_notes_fuzz.py $(PYTEST_ARGS)

# Not part of the tests: it asks a database on the internet (api.osv.dev or pypi.org), and what it says changes by the day.
audit: $(INSTALLED) ## Look the locked packages up in the database of known vulnerabilities (needs the internet)
	@$(BIN)/uv tool run --python $(BIN)/python pip-audit@2.10.1 --strict --disable-pip --require-hashes \
	  --requirement requirements.lock $(AUDIT_ARGS)

docs: $(INSTALLED) ## Write the generated parts of docs/ again: dictionary, commands, tables
	@$(BIN)/python -m rally_pipeline_tests.docs_generated

lock: $(INSTALLED) ## Resolve requirements.lock anew from pyproject.toml
	@$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-strip-extras --no-header --quiet --upgrade -o requirements.lock
	@$(BIN)/uv pip compile $(BENCH)/peers.in --constraints requirements.lock --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --quiet --upgrade -o $(BENCH)/peers.lock

clean: ## Remove the environment and caches; data in RALLY_HOME stays
	rm -rf $(VENV) $(BENCH_VENV) $(SUPERSET_VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
