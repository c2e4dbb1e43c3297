# The two commands of the README: make quickstart, make test.

PYTHON ?= python3.11
# Another build of torch: make quickstart TORCH="torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu"
TORCH ?= torch==2.13.0
BIN := .venv/bin
PIP ?= $(BIN)/pip

.PHONY: quickstart test tests install check format docs clean

quickstart: .venv/installed  ## a sweep of three optimizers on a real model, and its report
	$(BIN)/dfo-bench sweep quickstart
	@echo "open this page in a browser: $$($(BIN)/dfo-bench report --store results/quickstart)"

test: check tests  ## lint, types and tests

tests: .venv/installed-dev
	# One process more than there are cores: some tests wait, for Ray, a service or a browser.
	$(BIN)/pytest --numprocesses $$(($$(nproc) + 1)) --dist worksteal

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/installed-docs  ## the documentation as a site, site/index.html; a broken link fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

install: .venv/installed

.venv/installed: setup.cfg constraints.txt
	@echo "installing into .venv, about 2 GB; it takes some minutes"
	$(PYTHON) -m venv .venv
	$(PIP) install --quiet $(TORCH)
	$(PIP) install --quiet --constraint constraints.txt --editable .
	# Without what it requires: one of that, directsearch, is GPL, and the rest is here or only for single methods.
	$(PIP) install --quiet --constraint constraints.txt --no-deps nevergrad
	touch $@

.venv/installed-dev: .venv/installed
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	# Without what it requires: the tests only read with it, and one of that, moocore, is LGPL.
	$(PIP) install --quiet --constraint constraints.txt --no-deps iohinspector
	touch $@

.venv/installed-docs: .venv/installed
	$(PIP) install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

clean:
	rm -rf .venv build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache
