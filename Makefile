# One door for newcomers and for CI. Everything is installed into .venv below this folder.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
DEMO := build/demo

.PHONY: help demo test lint bench bench-int8 zoo clean

help:            ## Say what there is
	@grep -E '^[a-z0-9-]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(VENV)/.installed  ## Export the demo model to every target, verify and bench it
	$(BIN)/python models/digits_images.py $(DEMO)/photos
	$(BIN)/mobilecv export models/digits.h5 --to all --preset tf --calibration $(DEMO)/photos/calibration --output $(DEMO)/digits-mobilecv --force
	$(BIN)/mobilecv verify $(DEMO)/digits-mobilecv --images $(DEMO)/photos/test
	$(BIN)/mobilecv bench $(DEMO)/digits-mobilecv --device cpu

lint: $(VENV)/.installed  ## Format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint  ## Lint, types and all tests: what CI runs
	$(BIN)/python -m pytest -n 2 --dist loadscope

bench: $(VENV)/.installed  ## Export against the bare converters: time and memory as ratios
	$(BIN)/python benchmarks/export_against_converters.py

bench-int8: $(VENV)/.installed  ## int8 files against other quantisers, on the networks in MOBILECV_DATA
	$(BIN)/python -m benchmarks.int8

zoo: $(VENV)/.installed  ## Well-known networks through export and parity check; FAMILIES=mobilenet,vgg or ROWS=quick; PHOTOS=DIR
	$(BIN)/python -m benchmarks.zoo $(if $(FAMILIES),--families $(FAMILIES)) $(if $(ROWS),--rows $(ROWS)) $(if $(PHOTOS),--images $(PHOTOS))

clean:           ## Remove the environment and everything that was built
	rm -rf $(VENV) build
