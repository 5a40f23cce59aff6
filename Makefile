# make demo: parity alone against parity with sums.   make test: the tests.
# Both make the virtual environment .venv first, where it is missing or out of date.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
DEVELOPING := .venv/.installed-for-development
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test lint benchmarks clean

demo: $(INSTALLED)
	$(BIN)/waymarks demo

test: $(DEVELOPING)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist loadfile

lint: $(DEVELOPING)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

benchmarks: $(DEVELOPING)
	$(BIN)/python benchmarks/updates.py
	$(BIN)/python benchmarks/generation.py
	$(BIN)/python benchmarks/theory.py
	$(BIN)/python benchmarks/sweep.py

clean:
	rm -rf .venv

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "waymarks needs Python 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 2; }
	@echo "Installing into .venv, once: a minute or two"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) --editable .
	@touch $@

$(DEVELOPING): $(INSTALLED)
	@echo "Installing what the tests need"
	@$(PIP) --editable '.[dev]'
	@touch $@
