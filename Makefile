# Each target sets up what it needs; Python 3.11 or newer with pip, and make, are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Parsing needs a warehouse to connect to, not a built one.
LINT_ENV := JOURNEY_GAPS_HOME=build/lint DBT_TARGET_PATH=build/lint/dbt DBT_LOG_PATH=build/lint/logs
DEMO_HOME := .journey-gaps/demo
SUPERSET := build/superset
DIALECTS := build/dialects

.PHONY: setup spark peers demo dev test test-proofs test-faults test-engines test-spark test-bi test-dialects lint format contracts docs bench bench-scale bench-spark bench-peers growth audit lock clean

setup: $(VENV)/.installed

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 …"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		--requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--no-build-isolation --editable .
	@touch $@

spark: $(VENV)/.installed-spark  ## What --target spark needs besides, and a cluster for the tests (500 MB).

$(VENV)/.installed-spark: $(VENV)/.installed requirements-spark.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		--requirement requirements-spark.lock
	@touch $@

peers: $(VENV)/.installed-peers  ## ClickHouse in a process, to compare with (600 MB).

$(VENV)/.installed-peers: $(VENV)/.installed requirements-peers.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		--requirement requirements-peers.lock
	@touch $@

demo: setup  ## Land the demo data, build, check and publish; show the ranked gaps.
	$(BIN)/journey-gaps run --demo

dev: setup  ## Dagster's UI on 127.0.0.1:3000, on the demo.
	$(BIN)/journey-gaps dev --demo

test: setup  ## All tests on the embedded default.
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --ignore tests/engines \
		--ignore tests/proofs --ignore tests/faults --ignore tests/bi --ignore tests/dialects \
		--no-loadscope-reorder --durations 15

test-proofs: setup  ## What takes many builds: second runs, late data, any order, planted truths, coverage.
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --durations 15 tests/proofs

test-faults: setup  ## Runs killed, disks filled, files damaged; with FAULT_MOMENTS=9 all of it, for hours.
	$(BIN)/python -m pytest --numprocesses 2 --dist load -rP --durations 15 tests/faults

test-engines: setup spark  ## The same rows on PostgreSQL and Spark as on DuckDB, and what only a server does.
	$(BIN)/python -m pytest tests/engines --capture no --durations 15

test-spark: setup spark  ## Of these what runs on a Spark cluster.
	$(BIN)/python -m pytest tests/engines --capture no --durations 15 -k spark

test-bi: setup $(SUPERSET)/.installed  ## Superset imports bi/superset.zip and draws it, on DuckDB and PostgreSQL.
	SUPERSET_PROGRAMS=$(SUPERSET)/bin $(BIN)/python -m pytest --durations 15 tests/bi

test-dialects: setup $(DIALECTS)/.installed  ## Models compiled and parsed, not run, as Snowflake and BigQuery write SQL.
	DIALECT_PROGRAMS=$(DIALECTS)/bin $(BIN)/python -m pytest --durations 5 tests/dialects

$(DIALECTS)/.installed: requirements-dialects.lock
	$(PYTHON) -m venv $(DIALECTS)
	$(DIALECTS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		--requirement $<
	@touch $@

$(SUPERSET)/.installed: bi/superset-requirements.txt
	$(PYTHON) -m venv $(SUPERSET)
	$(SUPERSET)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

lint: setup  ## Style, types and the rules of the architecture.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@mkdir -p build/lint
	$(LINT_ENV) $(BIN)/dbt parse --quiet --profiles-dir .
	$(LINT_ENV) $(BIN)/dbt-bouncer --config-file dbt-bouncer.yml
	$(LINT_ENV) $(BIN)/sqlfluff lint --processes 2 --disable-progress-bar --nocolor \
		models tests/dbt

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(LINT_ENV) $(BIN)/sqlfluff fix --disable-progress-bar --nocolor models tests/dbt

contracts: setup  ## After a change of a published mart's YAML: contracts/ and docs/marts/ anew.
	@mkdir -p build/lint
	$(LINT_ENV) $(BIN)/dbt parse --quiet --profiles-dir .
	$(BIN)/python -m orchestration.publish.dictionary build/lint/dbt/manifest.json

docs: setup  ## dbt's documentation with lineage, of the demo: build/docs/index.html, one page without network.
	@test -f $(DEMO_HOME)/warehouse.duckdb || $(BIN)/journey-gaps run --demo
	@mkdir -p build/docs
	JOURNEY_GAPS_HOME=$(DEMO_HOME) DBT_TARGET_PATH=build/docs/dbt DBT_LOG_PATH=build/docs/logs \
		$(BIN)/dbt docs generate --static --quiet --profiles-dir .
	@cp build/docs/dbt/static_index.html build/docs/index.html
	@echo "build/docs/index.html"

bench: setup  ## Time and peak memory beside alternatives, in one run: landing, then the facts at SIZES=1,5,20 million events.
	$(BIN)/python -m tests.benchmarks.bench
	$(BIN)/python -m tests.benchmarks.scale

audit: setup  ## Known vulnerabilities of requirements.lock; 1: some, 2: the advisory source does not answer.
	@$(BIN)/python .ci/audit.py

bench-scale: setup  ## Full build, increments, gates, publication at SIZES=10,100 million events; hours and 40 GB of disk.
	$(BIN)/python -m tests.benchmarks.hundred_million

bench-spark: setup spark  ## Builds on a Spark cluster of two workers at SIZE=1 million events: shuffle volume, spilling, skew.
	$(BIN)/python -m tests.benchmarks.spark

bench-peers: setup peers  ## The same questions to SQL by hand, polars, pm4py and ClickHouse, at SIZES=1,5,20 million events.
	$(BIN)/python -m tests.benchmarks.peers

growth: setup  ## What each folder of a HOME takes, day by day: DAYS=30 real runs.
	$(BIN)/python -m tests.benchmarks.growth --days $(or $(DAYS),30)

lock: setup  ## Resolve anew after a change of dependencies in pyproject.toml.
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--no-strip-extras --generate-hashes --no-emit-index-url --no-emit-find-links \
		--no-annotate --no-header --quiet --output-file requirements.lock
	$(BIN)/uv pip compile tests/dialects/requirements.in --universal --python-version 3.11 \
		--no-strip-extras --generate-hashes --no-emit-index-url --no-emit-find-links \
		--no-annotate --no-header --quiet --output-file requirements-dialects.lock
	$(BIN)/uv pip compile tests/benchmarks/requirements.in --universal --python-version 3.11 \
		--constraint requirements.lock --no-strip-extras --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet \
		--output-file requirements-peers.lock
	$(BIN)/uv pip compile pyproject.toml --extra spark --extra spark-dev --universal \
		--python-version 3.11 --constraint requirements.lock --no-strip-extras \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
		--quiet --output-file requirements-spark.lock

clean:
	rm -rf build target logs .journey-gaps
