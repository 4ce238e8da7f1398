# One word each: make setup | demo | adapt | test | check | bench | clean. Needs Python 3.11 or later and pip; nothing else.
# Everything is installed into .venv and fetched below it; `make clean` removes all of that.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
PYTEST := $(BIN)/python -m pytest -rs
DEMO_SECONDS_SMOKE := 3
# Photographs and CIFAR-10 for `make adapt`; where there are none, it says what it leaves out.
DATA ?= ../shared/data

.DEFAULT_GOAL := help
.PHONY: help setup models adapt demo demo-smoke faults faults-smoke campaign campaign-slice test test-slow mutate bench clean
.PHONY: check check-style check-types check-arrows check-house check-blocks
.DELETE_ON_ERROR:

help:
	@echo "make setup  install hedgerow into .venv and fetch the two models and 20 photographs (once)"
	@echo "make demo   set up, then one drive three ways: a table here, a picture below out/"
	@echo "make adapt  install PyTorch (CPU), make int8 copies, exits and bottlenecks (about an hour; DATA=folder; goes on if stopped)"
	@echo "make test   set up, then the everyday tests (make test-slow: the minutes-long ones)"
	@echo "make mutate change the core one spot at a time: do its tests notice? (hours; SAMPLE=200 takes about ten minutes)"
	@echo "make faults attack real processes with 15 kinds of fault (up to 25 minutes), judge what came of it"
	@echo "make campaign a million requests in simulated worlds with random faults (minutes): is every promise kept?"
	@echo "make check  ruff, mypy --strict, import arrows, house rules, the blocks of the README"
	@echo "make bench  the benchmarks, their quick forms"
	@echo "make clean  remove .venv, caches and out/"

setup: models

# A virtual environment of a Python that is new enough; it says what is missing when it cannot be made.
.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "hedgerow needs Python 3.11 or later, and '$(PYTHON)' is $$($(PYTHON) --version 2>&1 | head -n 1);" \
	       "name another: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "making .venv"
	@$(PYTHON) -m venv .venv || { \
	  echo "'$(PYTHON) -m venv' failed; on Debian and Ubuntu install the package python3-venv" >&2; \
	  rm -rf .venv; exit 1; }

# What a user needs: the core and the plots.
.venv/.stamp: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing hedgerow into .venv (about half a minute)"
	@$(PIP) --editable '.[plots]'
	@touch $@

# What a developer needs on top; it contains the above.
.venv/.stamp-dev: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing hedgerow and its development tools into .venv (about a minute)"
	@$(PIP) --editable '.[dev]'
	@touch .venv/.stamp $@

# The models are checked by their digests and not fetched again when they are there.
models: .venv/.stamp
	@[ -e .venv/var/hedgerow/tasks/imagenet ] || echo "fetching two models and 20 photographs (seconds)"
	@$(BIN)/hedgerow model fetch imagenet >/dev/null

demo: models
	@$(BIN)/hedgerow demo

# What trains: PyTorch beside the core. It is needed to make adapted models, not to run them.
.venv/.stamp-adapt: pyproject.toml constraints.txt | .venv/.stamp
	@echo "installing PyTorch into .venv (minutes)"
	@$(PIP) --editable '.[plots,adapt]'
	@touch $@

adapt: models .venv/.stamp-adapt
	@$(BIN)/hedgerow adapt all $(if $(wildcard $(DATA)),--data $(DATA))

# Fifteen kinds of fault on real processes, 20 trials each: up to 25 minutes (one trial each: make faults-smoke).
faults: .venv/.stamp
	@$(BIN)/hedgerow faults

faults-smoke: .venv/.stamp
	@$(BIN)/hedgerow faults --quick

# A thousand random worlds of a thousand requests; docs/campaign.md. The slice begins with a seed made of the commit, so that
# each commit looks at worlds of its own.
campaign: .venv/.stamp
	@$(BIN)/hedgerow simulate --campaign

campaign-slice: .venv/.stamp
	@$(BIN)/hedgerow simulate --campaign --seeds 50 --seed $$((0x$$(git rev-parse --short=7 HEAD 2>/dev/null || echo 0) ))

demo-smoke: models
	@$(BIN)/hedgerow demo --seconds $(DEMO_SECONDS_SMOKE)

test: .venv/.stamp-dev
	@$(PYTEST) -m "not slow" -n 2 --dist loadfile

test-slow: .venv/.stamp-dev
	@$(PYTEST) -m slow

# What is known already (out/mutants.jsonl) is not run again; docs/mutation.md holds the score.
mutate: .venv/.stamp-dev
	@$(BIN)/python tools/mutate.py $(if $(SAMPLE),--sample $(SAMPLE) --seed $(or $(SEED),1))

# Each can be asked for alone; `make -k check` goes on after a failure.
check: check-style check-types check-arrows check-house check-blocks

check-style: .venv/.stamp-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check-types: .venv/.stamp-dev
	$(BIN)/mypy

check-arrows: .venv/.stamp-dev
	$(BIN)/python tools/check_arrows.py

check-house: .venv/.stamp-dev
	$(BIN)/python tools/check_house.py

check-blocks: .venv/.stamp-dev models
	$(BIN)/python tools/readme_blocks.py

# Quick forms; the figures of the README name the commands that made them.
bench: models
	$(BIN)/hedgerow bench decide --count 300
	$(BIN)/hedgerow bench overhead --runs 120 --timers 200
	$(BIN)/python bench/link_accuracy.py --quick
	$(BIN)/python bench/transfer_accuracy.py --quick
	$(BIN)/python bench/codec_costs.py --runs 20
	$(BIN)/python bench/wire.py --quick

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis out build dist src/*.egg-info
	find src tests tools bench -name __pycache__ -type d -prune -exec rm -rf {} +
