# `make book` and `make test` do everything on a fresh machine with Python 3.11 to 3.13.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: book test faults fuzz bench site-test pdf lint types wheel clean

book: $(INSTALLED)  ## the site, in _build/html
	$(BIN)/jupyter-book build book

test: $(INSTALLED)  ## the tests
	$(BIN)/pytest

faults: $(INSTALLED)  ## sweeps and publishing killed, starved and locked out: what was tried, and what was lost
	$(BIN)/python tests/faults.py

fuzz: $(INSTALLED)  ## thousands of damaged files of every kind
	FUZZ_EXAMPLES=2000 $(BIN)/pytest tests/test_fuzz.py

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(INSTALLED)
	$(BIN)/mypy

bench: $(INSTALLED)  ## a training step beside plain PyTorch, torch.compile and Keras
	$(BIN)/python -m pip install --quiet --requirement requirements.txt --editable '.[bench]'
	$(BIN)/python benchmarks/train_step.py

site-test: book  ## the built site in a browser: every page, light and dark, wide and narrow
	command -v chromium >/dev/null || { apt-get update && apt-get install -y chromium; }
	$(BIN)/python -m pip install --quiet --requirement requirements.txt --editable '.[site]'
	$(BIN)/pytest tests/site

pdf: book  ## the whole book as one file, _build/measured-again.pdf
	command -v chromium >/dev/null || { apt-get update && apt-get install -y chromium; }
	$(BIN)/python -m pip install --quiet --requirement requirements.txt --editable '.[site]'
	$(BIN)/python book/_ext/print_pdf.py

wheel: $(INSTALLED)
	$(BIN)/python -m build --wheel

$(INSTALLED): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info[:2] <= (3, 13) else "Python 3.11 to 3.13 is needed, this is %d.%d: make PYTHON=python3.12 ..." % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --requirement requirements.txt
	touch $@

clean:
	rm -rf _build build dist book/*.ipynb
