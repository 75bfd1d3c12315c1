# Every target makes the environment (.venv) by itself; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
DATA ?= two_spiral
METHOD ?=
ARGS ?=
RUN ?=
PY := .venv/bin/python

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.venv/.made: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.version_info >= (3, 11) or sys.exit(f"error: Python 3.11 or later is needed, $(PYTHON) is {v}: make PYTHON=/path/to/python3.11")'
	@test -x $(PY) || { echo "Making the environment in .venv (a minute or two the first time)"; $(PYTHON) -m venv .venv; }
	@test -x .venv/bin/uv || $(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	@.venv/bin/uv pip install --python $(PY) --constraint constraints.txt --editable '.[dev]'
	@touch $@
