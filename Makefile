# `make demo` and `make test` work on a fresh machine with python3 (3.11 to 3.13); both keep their environment in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Where this is set, as in many containers, each process would compile all that it imports anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint unit docs notebooks install clean

demo: install
	$(BIN)/secateur run --model demo --task demo --out runs/demo --minutes 5 --ladder-shares 1/2,1/4,1/8

# Both at once: what checks the source has one thread, and the tests end with idle workers.
test: install
	$(MAKE) --jobs 2 lint unit

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

unit: install
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist worksteal

docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Runs them as they are kept, with their outputs: on a machine that does nothing else.
notebooks: install
	$(BIN)/python notebooks/execute.py

install: $(VENV)/installed

# A change of what is to be installed installs it again. Bytecode is made as it is used: most of it never is.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Secateur needs Python 3.11 or later; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt torch
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable '.[demo,syne-tune,distributed,onnx,openvino,track,notebooks,docs,dev]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
