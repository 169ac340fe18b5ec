# make run    the whole job: 10 million rows, both engines, verified, with reports
# make test   the tests
# Both set up what they need on a machine that has only python3 (3.11 or later).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
KEDRO := $(BIN)/kedro
PINS := pyproject.toml constraints.txt

.PHONY: run test lint bench viz notebook clean

# Each engine runs in a process of its own, so that neither inherits the other's memory.
run: $(VENV)/installed
	$(KEDRO) run --env demo --pipelines data_generation
	$(KEDRO) run --env demo --pipelines etl_dask
	$(KEDRO) run --env demo --pipelines etl_pandas
	$(KEDRO) run --env demo --pipelines analytics,verification,reporting
	@echo "Reports: data/08_reporting/report.md and the plots beside it"

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest

lint: $(VENV)/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

bench: $(VENV)/installed-dev
	$(BIN)/python -m benchmarks

viz: $(VENV)/installed-dev
	$(KEDRO) viz run

notebook: $(VENV)/installed-dev
	$(KEDRO) jupyter lab

clean:
	rm -rf $(VENV) build dist

# Installed again only when the pins change.
$(VENV)/installed: $(PINS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/installed-dev: $(PINS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@ $(VENV)/installed
