# A reader needs two of these: `make book` and `make test`. Each makes .venv if it is missing.

PYTHON ?= python3
# The one pin of torch. TORCH_INDEX, if given, is the address of the index that has the build you want (CPU, CUDA).
TORCH ?= torch==2.13.0
TORCH_INDEX ?=
# The lowest torch that pyproject.toml admits, for `make lowest`.
TORCH_LOWEST ?= torch==2.6.0
# With RECORD=1 executing a notebook writes its runtime to book/records/execution; without, nothing but the notebook.
RECORD ?=

# What Colab had in November 2026 of what the chapters need, beside torch; it is what the copies meet there.
COLAB_HAS := numpy==2.0.2 pandas==2.2.2 scipy==1.16.3 matplotlib==3.10.0 seaborn==0.13.2 scikit-learn==1.6.1 ipykernel nbclient pip
COLAB := _build/colab-check
PORT ?= 8497
COPIES ?=

BIN := .venv/bin
INSTALLED := .venv/installed
NOTEBOOKS := $(wildcard notebooks/*.ipynb)
TWINS := $(wildcard notebooks/*.md)
EXECUTE := $(BIN)/python tools/execute.py $(if $(RECORD),--record)
LOWEST := .venv-lowest
SERVED := .venv-served
JUPYTER_BOOK := $(BIN)/jupyter-book build . -W -n --keep-going

# One thread: the numbers then do not depend on how many cores the machine has.
export OMP_NUM_THREADS ?= 1

.NOTPARALLEL:
.PHONY: help book test check lowest served html colab colab-check student pdf train notebooks notebook sync format live pins readme vendor clean

help:  ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

book: train notebooks html  ## train on the demo data, execute the notebooks, render the book to _build/html/
	@echo "The book is in _build/html/index.html"

test: $(INSTALLED)  ## run every check there is
	$(MAKE) html & $(MAKE) check; checked=$$?; wait $$! && exit $$checked
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder --nbval-lax --nbval-current-env tests notebooks

check: $(INSTALLED)  ## lint, types, spelling, import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/codespell
	$(BIN)/pytest -q tests/test_import_layers.py

# Deprecations are no errors there: the oldest of one library meets the newest of what that one needs.
lowest:  ## run the library's tests with the lowest versions that pyproject.toml admits, in .venv-lowest
	test -x $(LOWEST)/bin/python || $(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH_LOWEST)
	$(LOWEST)/bin/pip install --quiet "uv>=0.5"
	echo "torch ; sys_platform == 'never'" > $(LOWEST)/overrides.txt  # it is there, in the build that TORCH_INDEX has
	$(LOWEST)/bin/uv pip compile pyproject.toml --extra test --extra search --extra parquet --extra serve --resolution lowest-direct --quiet \
	  --python $(LOWEST)/bin/python --overrides $(LOWEST)/overrides.txt --output-file $(LOWEST)/requirements.txt
	$(LOWEST)/bin/pip install --quiet -r $(LOWEST)/requirements.txt
	$(LOWEST)/bin/pip install --quiet --no-deps -e .
	$(LOWEST)/bin/pytest -n 2 --dist loadfile tests --ignore tests/book -W ignore::DeprecationWarning

# What `pip install .[serve]` brings, and no more: an export is made with NumPy, served, asked and ended.
served:  ## serve an export from a fresh environment with the extra `serve` alone, in .venv-served
	test -x $(SERVED)/bin/python || $(PYTHON) -m venv $(SERVED)
	$(SERVED)/bin/pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	$(SERVED)/bin/pip install --quiet ".[serve]"
	cd $(SERVED) && bin/python ../tools/served.py

html: $(INSTALLED)  ## render the notebooks as they are
	$(JUPYTER_BOOK)

colab: html  ## check the chapters' plain copies and lay them out for Colab in _build/colab/
	$(BIN)/python tools/colab.py

# The site is built for an address on loopback and served there; COPIES=quickstart runs one chapter.
colab-check: $(INSTALLED)  ## run the chapters' copies from the built site alone, with Colab's versions of the libraries
	BOOK_URL=http://127.0.0.1:$(PORT) $(JUPYTER_BOOK) --path-output $(COLAB)
	test -x $(COLAB)/.venv/bin/python || $(PYTHON) -m venv $(COLAB)/.venv
	$(COLAB)/.venv/bin/pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	$(COLAB)/.venv/bin/pip install --quiet $(COLAB_HAS)
	$(BIN)/python tools/colab_check.py $(COLAB)/_build/html $(PORT) $(COLAB)/.venv/bin/python $(COPIES)

student: html  ## the chapters without solutions, with starters to fill in, for a course: _build/student/
	$(BIN)/python tools/student.py

pdf: html  ## print the book as one PDF, _build/pdf/mmkd.pdf (needs Chromium or Chrome)
	$(BIN)/python tools/pdf.py

train: $(INSTALLED)  ## teacher, then student, on the demo data; a run whose record exists is not repeated
	$(BIN)/mmkd run mmkd --data demo

notebooks: $(INSTALLED)  ## execute all notebooks in place; RECORD=1 notes how long each took
	$(EXECUTE) $(NOTEBOOKS)

notebook: $(INSTALLED)  ## execute one: make notebook NB=notebooks/quickstart.ipynb
	$(EXECUTE) $(NB)

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
	rm -rf _build .venv-lowest .venv-served .pytest_cache .ruff_cache .hypothesis
	find mmkd_core -name __pycache__ -prune -exec rm -rf {} +
	find mmkd_core -type d -empty -delete  # of packages that have moved

$(INSTALLED): pyproject.toml requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	$(BIN)/pip install --quiet -r requirements/dev.txt
	$(BIN)/pip install --quiet --no-deps -e .
	touch $@
