# batchrl. Every target does its own set-up from a bare clone: a virtual environment in .venv with pinned packages.
#
#   make demo      the whole workflow on CartPole, then a report
#   make test      the tests; those whose service is missing are skipped and listed
#   make check     formatting, lint, types, import rules
#   make faults    300 faults at random moments of real jobs, and what came of them (docs/faults.md)
#   make badinput  5,000 bad inputs at every boundary, and what came of them (docs/bad-input.md)
#   make bench     the figures of docs/speed.md, each with the command that repeats it
#   make image     the job image, in this machine's Docker engine
#   make lock      requirements.txt and docker/requirements.txt again, from pyproject.toml
#   make clean     remove .venv and what the tools cached
#
# Settings: PYTHON (3.11 or newer), TORCH=cuda for the CUDA build, TORCH_INDEX (see docker/install-torch.sh),
# ARGS for the tool behind a target (make test ARGS="-k resume"), WORKERS that share the tests (auto: one a core; 0: none,
# as a debugger wants), BATCHRL_REQUIRE=clients,engine,rgw to fail instead of skip.

PYTHON ?= python3
ARGS ?=
WORKERS ?= auto
RUN := .venv/bin/python
PIP := $(RUN) -m pip --disable-pip-version-check
SCRIPTS = $(wildcard entrypoints/*.py)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test faults badinput check check-format check-lint check-types check-rules bench image lock clean

help:
	@sed -n '2,/^$$/s/^# \{0,1\}//p' Makefile

setup: .venv/.installed

# A .venv that was not made here may be somebody's own, so it is not replaced.
.venv/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "batchrl needs Python 3.11 or newer: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@[ ! -e .venv ] || { echo "there is a .venv that make did not make, or not to its end: \`make clean\` removes it" >&2; exit 1; }
	@echo "set-up: a virtual environment in .venv"
	@$(PYTHON) -m venv .venv \
	  || { rm -rf .venv; echo "no virtual environment: install python3-venv (apt-get install python3-venv)" >&2; exit 1; }
	@touch $@

.venv/.torch: .venv/.created docker/install-torch.sh
	@echo "set-up: torch ($(or $(TORCH),cpu) build)"
	@TORCH="$(TORCH)" TORCH_INDEX="$(TORCH_INDEX)" docker/install-torch.sh $(RUN)
	@touch $@

.venv/.installed: .venv/.torch requirements.txt pyproject.toml
	@echo "set-up: the packages of requirements.txt"
	@$(PIP) install -q --no-deps -r requirements.txt
	@$(PIP) install -q --no-deps --no-build-isolation -e .
	@touch $@

demo: setup
	@.venv/bin/batchrl demo $(ARGS)

test: setup
	$(RUN) -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

faults: setup
	OMP_NUM_THREADS=1 PYTHONPATH=tests:tests/support $(RUN) -m faults $(ARGS)

badinput: setup
	OMP_NUM_THREADS=1 PYTHONPATH=tests:tests/support $(RUN) -m badinput $(ARGS)

# All of them run, also after one has failed: every fault in one go.
check: setup
	@$(MAKE) --no-print-directory --keep-going check-format check-lint check-types check-rules

check-format:
	$(RUN) -m ruff format --check .

check-lint:
	$(RUN) -m ruff check .

# Each script on its own: together they would be two modules of one name to mypy.
check-types:
	$(RUN) -m mypy
	@cd bench && MYPYPATH=..:../entrypoints:.:../tests/support ../$(RUN) -m mypy --config-file ../pyproject.toml \
	  --follow-imports=silent *.py peers/*.py
	@for script in $(SCRIPTS) docker/lock.py; do echo "mypy $$script"; $(RUN) -m mypy "$$script" || exit 1; done

check-rules:
	$(RUN) -m pytest -q tests/test_import_rules.py tests/test_repo.py

bench: setup
	$(RUN) bench/run.py $(ARGS)

image: setup
	.venv/bin/batchrl image build $(ARGS)

# The newest versions that pyproject.toml allows, found in a fresh environment.
lock:
	rm -rf build/lock
	$(PYTHON) -m venv build/lock
	docker/install-torch.sh build/lock/bin/python
	build/lock/bin/python -m pip install -q hatchling editables
	build/lock/bin/python -m pip install -q --no-build-isolation -e '.[local,job,plots,dev]'
	build/lock/bin/python docker/lock.py
	rm -rf build/lock

clean:
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
