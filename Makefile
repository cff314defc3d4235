# Two commands do everything: `make demo` and `make test`. Each makes the virtual environment if it is missing.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || echo python3)
PYTHON312 ?= python3.12
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
NNUNET := $(VENV)/nnunet
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help install demo test fast lint types format docs clean

help:            ## list the targets
	@grep -E '^[a-z]+: .*##|^[a-z]+:  +##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/ —/' | sort

install: $(STAMP)  ## make .venv with everything that demo and test need

# --no-compile: most of what is installed is never imported, and Python compiles the rest when it is.
$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info < (3, 13), f"Python 3.11 or 3.12 is needed; this is {sys.version}. Try: make PYTHON=python3.12"'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --editable '.[dev]'
	touch $(STAMP)

# nnU-Net's own check of an export, beside the environment and not in it: its dependencies bring torchvision.
$(NNUNET)/.installed: tests/nnunet.txt $(STAMP)
	rm -rf $(NNUNET)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --target $(NNUNET) --requirement tests/nnunet.txt
	touch $@

demo: $(STAMP)   ## the whole road on phantom scenes, without a GPU; opens nothing, writes demo/report.html
	$(BIN)/rarescene demo --out demo

test: $(STAMP) $(NNUNET)/.installed  ## everything that CI runs: style, types, layers, tests
	$(MAKE) --no-print-directory lint types
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

fast: $(STAMP) $(NNUNET)/.installed  ## the tests without the slow ones
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not slow"

lint: $(STAMP)   ## ruff and import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(STAMP)  ## mypy
	$(BIN)/mypy

format: $(STAMP) ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

floors:          ## the tests on Python 3.12 with the lowest versions that are allowed, in .venv-floors
	$(PYTHON312) -m venv .venv-floors
	.venv-floors/bin/python -m pip install --quiet --disable-pip-version-check -c floors.txt --editable '.[text]' pytest hypothesis
	.venv-floors/bin/python -m pytest --override-ini addopts="--import-mode=importlib" --ignore=tests/docs

docs: $(STAMP)   ## build the documentation into site/
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	$(BIN)/mkdocs build --strict

clean:           ## remove the environment and everything that was built
	rm -rf $(VENV) .venv-floors build dist site demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
