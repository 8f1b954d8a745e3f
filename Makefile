# Everything from a fresh clone: `make demo` or `make test`. `make help` lists the rest.

PYTHON ?= python3
VENV ?= .venv

BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt
# A stamp newer than these files means that the environment is up to date.
INSTALL_INPUTS := pyproject.toml constraints.txt hatch_build.py
BASE := $(VENV)/.stamp-base
DEV := $(VENV)/.stamp-dev

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test lint pytest pyside coverage package examples bench fuzz kills screenshots clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(BASE) ## install, then simulate, reconstruct, score and export the paper's experiment into demo/
	$(BIN)/stinr demo --out demo

test: lint pytest ## install, then all checks and all tests

lint: $(DEV) ## style, types, spelling, package metadata, plugin manifest
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/typos
	$(BIN)/validate-pyproject pyproject.toml
	$(BIN)/npe2 validate napari.yaml

pytest: $(DEV) ## all tests; choose some with ARGS="-k projection"
	bash tools/run_tests.sh $(BIN)/python $(ARGS)

pyside: $(DEV) ## the tests of the plugin with PySide6 in place of PyQt6
	bash tools/run_pyside.sh $(abspath $(BIN))/python $(ARGS)

coverage: $(DEV) ## all tests, then how much of the code they ran, and the ten modules of which they ran least
	@status=0; bash tools/run_tests.sh $(BIN)/python --cov --cov-report= $(ARGS) || status=$$?; \
	$(BIN)/coverage report --sort=cover | sed -n '1,12p;$$p'; exit $$status

package: $(DEV) ## sdist and wheel in dist/, checked as an upload would be
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/twine check --strict dist/*
	$(BIN)/npe2 validate napari.yaml

examples: $(DEV) ## write the notebooks in examples/ from their scripts, and run them
	for script in examples/*.py; do $(BIN)/python tools/make_notebook.py $$script $${script%.py}.ipynb || exit; done
	$(BIN)/python -m pytest tests/test_examples.py $(ARGS)

bench: $(DEV) ## speed, memory and quality against other methods: tables and figures in benchmarks/results/
	bash tools/system_packages.sh
	bash tools/on_screen.sh $(BIN)/python benchmarks/run.py $(ARGS)

fuzz: $(DEV) ## read 10,000 damaged files of every format; other numbers with ARGS="--inputs 500 --seed 1"
	OMP_NUM_THREADS=1 $(BIN)/python tools/fuzz.py $(ARGS)

kills: $(DEV) ## kill 200 trainings and exports at random moments, load 2,000 damaged runs: nothing may be lost
	OMP_NUM_THREADS=1 $(BIN)/python tools/kill_runs.py $(ARGS)
	OMP_NUM_THREADS=1 $(BIN)/python tools/fuzz_runs.py

screenshots: $(DEV) ## pictures of the window in docs/, taken from the real program
	bash tools/system_packages.sh
	bash tools/on_screen.sh $(BIN)/python tools/make_screenshots.py $(ARGS)

clean: ## remove everything the other targets made, except the environment
	rm -rf demo clean-specimen dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(BIN)/python:
	bash tools/make_venv.sh "$(PYTHON)" "$(VENV)"

# torch first: the largest download, and the one that fails where a platform has no build of it.
# The build's own packages by name, so that they are pinned too, which build isolation would not do.
$(BASE): $(INSTALL_INPUTS) | $(BIN)/python
	$(PIP_INSTALL) torch hatchling editables
	$(PIP_INSTALL) --no-build-isolation --editable .
	@touch $@

$(DEV): $(INSTALL_INPUTS) | $(BIN)/python
	$(PIP_INSTALL) torch hatchling editables
	$(PIP_INSTALL) --no-build-isolation --editable '.[dev]'
# A second opinion on the metadata of OME-Zarr: it asks for an older pydantic than it needs, and is not for every Python.
	$(PIP_INSTALL) --no-deps "ome-zarr-models; python_version < '3.14'" "pydantic-zarr; python_version < '3.14'"
	@touch $(BASE) $@
