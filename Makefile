# `make` alone lists what there is. Every target sets up what it needs, on a machine that
# has only python3 (3.11 or later).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
KEDRO := $(BIN)/kedro
# Exactly the pinned files, or nothing; what has no wheel is built with pinned tools.
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-build-isolation
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate

# Kedro's telemetry and whatever else asks: no.
export DO_NOT_TRACK := 1
# Else every process of the tests would compile the project anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install run test test-cluster fuzz lint docs bench viz notebook pins clean

help: ## list these targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' \
		$(MAKEFILE_LIST)

install: $(VENV)/installed ## the environment alone, in .venv

# Each engine runs in a process of its own, so that neither inherits the other's memory.
run: $(VENV)/installed ## the whole job: 10 million rows, both engines, verified, with reports
	@$(KEDRO) run --env demo --pipelines data_generation
	@$(KEDRO) run --env demo --pipelines etl_dask
	@$(KEDRO) run --env demo --pipelines etl_pandas
	@$(KEDRO) run --env demo --pipelines analytics,verification,reporting

test: $(VENV)/installed-dev ## the tests
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

test-cluster: $(VENV)/installed-dev ## whole runs on a cluster elsewhere and on S3, with faults
	$(BIN)/python -m pytest -m cluster tests/cluster

fuzz: $(VENV)/installed-dev ## ten thousand random deliveries: both engines, the oracle
	HYPOTHESIS_PROFILE=fuzz $(BIN)/python -m pytest tests/fuzz

lint: $(VENV)/installed-dev ## style, types, spelling, directions of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/lint-imports

docs: $(VENV)/installed-dev ## the documents as a site, in build/site; all links checked
	$(BIN)/python docs/scripts/reference.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "Open build/site/index.html"

bench: $(VENV)/installed-dev ## the engines against each other and their peers, in many runs
	$(BIN)/python -m benchmarks

viz: $(VENV)/installed-dev ## the graph of the pipelines, in a browser
	$(KEDRO) viz run

notebook: $(VENV)/installed-dev ## JupyterLab with the catalog at hand
	$(KEDRO) jupyter lab

pins: ## write requirements/*.txt anew (needs uv); versions stay unless asked otherwise
	UV_CUSTOM_COMPILE_COMMAND="make pins" $(LOCK) requirements/build.in -o requirements/build.txt
	UV_CUSTOM_COMPILE_COMMAND="make pins" $(LOCK) pyproject.toml --extra dev -o requirements/dev.txt
	UV_CUSTOM_COMPILE_COMMAND="make pins" $(LOCK) pyproject.toml \
		--constraint requirements/dev.txt -o requirements/run.txt

clean: ## remove the environment and what was built, not the data
	rm -rf $(VENV) build dist

# Installed again only when the pins change.
$(VENV)/tools: requirements/build.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes --requirement $<
	touch $@

$(VENV)/installed: $(VENV)/tools requirements/run.txt pyproject.toml
	$(PIP) --require-hashes --requirement requirements/run.txt
	$(PIP) --no-deps --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/tools requirements/dev.txt pyproject.toml
	$(PIP) --require-hashes --requirement requirements/dev.txt
	$(PIP) --no-deps --editable .
	touch $@ $(VENV)/installed
