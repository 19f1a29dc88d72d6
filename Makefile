# A reader needs two of these: `make book` and `make test`. Each makes .venv if it is missing.

PYTHON ?= python3
# The one pin of torch. TORCH_INDEX, if given, is the address of the index that has the build you want (CPU, CUDA).
TORCH ?= torch==2.13.0
TORCH_INDEX ?=
# The oldest torch that pyproject.toml admits.
TORCH_LOWEST ?= torch==2.6.0
# With RECORD=1 executing a chapter notes when, where and for how long in book/records/execution; else in _build.
RECORD ?=

BIN := .venv/bin
INSTALLED := .venv/installed
LOWEST := .venv-lowest
NOTEBOOKS := $(wildcard notebooks/*.ipynb)
TWINS := $(wildcard notebooks/*.md)
JUPYTER_BOOK := $(BIN)/jupyter-book build . -W -n --keep-going

# One thread: the numbers then do not depend on how many cores the machine has.
export OMP_NUM_THREADS ?= 1

.NOTPARALLEL:
export RECORD

.PHONY: help book test lowest check html colab pdf train notebooks notebook sync format live pins readme vendor clean

help:  ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

book: train notebooks html  ## train on the demo data, execute the notebooks, render the book to _build/html/
	@echo "The book is in _build/html/index.html"

test: check html  ## run every check there is
	$(BIN)/pytest -n 2 --dist loadfile --nbval-lax --nbval-current-env tests notebooks

lowest: $(INSTALLED)  ## run the library's tests with the oldest versions that pyproject.toml admits
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(LOWEST)
	echo "torch ; sys_platform == 'never'" > $(LOWEST)/overrides.txt  # installed first, as in .venv
	$(BIN)/uv pip install --quiet --python $(LOWEST) $(if $(TORCH_INDEX),--index $(TORCH_INDEX)) "$(TORCH_LOWEST)"
	$(BIN)/uv pip install --quiet --python $(LOWEST) --resolution lowest-direct --overrides $(LOWEST)/overrides.txt -e .[test]
	$(LOWEST)/bin/python -m pytest -q -n 2 --dist loadfile -W default::DeprecationWarning tests \
	  --ignore tests/book --ignore tests/plugins --ignore tests/test_benchmarks.py

check: $(INSTALLED)  ## lint, types, spelling, import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/codespell
	$(BIN)/pytest -q tests/test_import_layers.py

html: $(INSTALLED)  ## render the notebooks as they are
	$(JUPYTER_BOOK)

colab: html  ## check the chapters' plain copies and lay them out for Colab in _build/colab/
	$(BIN)/python tools/colab.py

pdf: html  ## print the book as one PDF, _build/pdf/mmkd.pdf (needs Chromium or Chrome)
	$(BIN)/python tools/pdf.py

train: $(INSTALLED)  ## teacher, then student, on the demo data; a run whose record exists is not repeated
	$(BIN)/mmkd run mmkd --data demo

notebooks: $(INSTALLED)  ## execute all notebooks in place (RECORD=1: note times and machine for the status page)
	$(BIN)/python tools/execute.py $(NOTEBOOKS)

notebook: $(INSTALLED)  ## execute one: make notebook NB=notebooks/quickstart.ipynb
	$(BIN)/python tools/execute.py $(NB)

sync: $(INSTALLED)  ## carry the edits of notebooks/*.md over to the .ipynb twins, keeping outputs
	$(BIN)/jupytext --to ipynb --update $(TWINS)

format: sync  ## format the code, notebooks included
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/jupytext --to md:myst $(NOTEBOOKS)

live: html  ## render again whenever a page is saved, until Ctrl-C
	@touch _build/live; while sleep 1; do \
	  test -z "$$(find book notebooks _config.yml _toc.yml -newer _build/live)" || { touch _build/live; $(JUPYTER_BOOK); }; \
	done

pins: $(INSTALLED)  ## generate requirements/dev.txt and environment.yml from pyproject.toml
	$(BIN)/python tools/pins.py

readme: $(INSTALLED)  ## write anew what README and landing page print from the records
	$(BIN)/python tools/readme.py

vendor:  ## fetch the scripts and fonts under book/_static/vendor again (needs npm)
	tools/vendor.sh

clean:  ## remove what was built, but not .venv
	rm -rf _build .venv-lowest .pytest_cache .ruff_cache .hypothesis

$(INSTALLED): pyproject.toml requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	$(BIN)/pip install --quiet -r requirements/dev.txt
	$(BIN)/pip install --quiet --no-deps -e .
	touch $@
