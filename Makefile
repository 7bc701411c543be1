# The verbs of this project, the same for people and for CI. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
.PHONY: help demo test prove format check lock clean

PYTHON ?= python3
# For example: make test PYTEST_ARGS="tests/components -x"
PYTEST_ARGS ?=
# For example: make demo DEMO_ARGS="--keep"
DEMO_ARGS ?=

# Which tests `make test` runs.
MARKS = not demo and not slow

BIN := .venv/bin
# Written when everything is installed; older than the lock or the ranges means: install again.
READY := .venv/everfit-ready

# Some machines keep wheels of their own (a CPU build of torch, say). pip learns of them from its variables or its
# configuration; uv has a variable of its own, a list with commas. No address stands in this repository.
define FIND_LINKS
found="$${UV_FIND_LINKS:-$${PIP_FIND_LINKS:-$$($(PYTHON) -m pip config get global.find-links 2>/dev/null || true)}}"
if [ -n "$$found" ]; then export UV_FIND_LINKS="$$(echo $$found | tr ' ' ',')"; fi
export UV_PYTHON_DOWNLOADS=never UV_SYSTEM_CERTS=true
endef

help:  ## List the verbs
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /make \1\t/' | expand -t 15

demo: $(READY)  ## Set up, start the servers and replay a year of flights
	@$(BIN)/everfit demo $(DEMO_ARGS)

test: $(READY)  ## Set up and run the tests but the slow ones
	@if [ -n '$(PYTEST_ARGS)' ]; then exec $(BIN)/python -m pytest $(PYTEST_ARGS); fi
	$(BIN)/python -m pytest -n 2 --dist loadfile --ignore tests/flows -m '$(MARKS)'
	# The flows share one stack of real servers, so they share one process.
	$(BIN)/python -m pytest tests/flows -m '$(MARKS)'

# What takes more than ten seconds: kills under load, simulations, whole backtests. The demo has a marker of its own.
prove: MARKS = not demo
prove: test  ## The same with the slow proofs among them, as CI does

format: $(READY)  ## Format the code and mend what can be mended
	@$(BIN)/ruff format
	$(BIN)/ruff check --fix

check: $(READY)  ## Format, lint and types, without changing anything
	@$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

lock: $(READY)  ## Resolve the ranges of pyproject.toml anew into requirements.lock
	@$(FIND_LINKS)
	{
	  echo "# Exact versions of everything, for every role. Made by \`make lock\`; do not edit."
	  echo "# Torch stands here without a build label: a machine with a CPU build of its own takes that one."
	  $(BIN)/uv pip compile pyproject.toml --all-extras --upgrade --quiet --no-header --python-version 3.11 \
	    | sed -E 's/\+cpu//; s/everfit \(pyproject.toml\)/everfit/'
	} > .venv/requirements.lock
	mv .venv/requirements.lock requirements.lock
	grep -c '==' requirements.lock | sed 's/$$/ packages locked/'

clean:  ## Remove the environment and all caches; .everfit, where your models are, stays
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): requirements.lock pyproject.toml
	@if ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
	  echo "Everfit needs Python 3.11 or newer, found: $$($(PYTHON) --version 2>&1 || true)." >&2
	  echo "Install it, or name one that is there: make $(MAKECMDGOALS) PYTHON=python3.11" >&2
	  exit 1
	fi
	echo "Setting up .venv: about half a minute with uv, some minutes with pip" >&2
	[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	$(FIND_LINKS)
	# uv installs in seconds what takes pip minutes, but it does not read pip's configuration: where uv cannot be had
	# or does not find something, pip does it. Compiled while it installs: each process of a flow starts faster, also where
	# PYTHONDONTWRITEBYTECODE is set, as it is in many containers (import of Lightning: 10 s without, 4.4 s with).
	[ -x $(BIN)/uv ] || $(BIN)/python -m pip install --quiet --constraint requirements.lock uv || true
	if [ -x $(BIN)/uv ] && $(BIN)/uv pip install --python $(BIN)/python --quiet --compile-bytecode -r requirements.lock; then
	  $(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps --editable .
	else
	  echo "uv could not install; trying pip, which takes some minutes" >&2
	  [ -x $(BIN)/pip ] || $(BIN)/python -m ensurepip
	  $(BIN)/python -m pip install --quiet -r requirements.lock
	  $(BIN)/python -m pip install --quiet --no-deps --editable .
	fi
	touch $(READY)
