# grammage: `make run` is all a newcomer needs. PYTHON=/path/to/python3 chooses another interpreter.
SHELL := /bin/sh
.DEFAULT_GOAL := help
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.grammage-stamp
CLIENTS := $(VENV)/clients
CLIENTS_STAMP := $(CLIENTS)/.stamp
CLIENTS_FROM := $(wildcard tests/clients/requirements-*.txt tests/clients/node/*.json tests/clients/impact/*.json) tests/clients/install.py
CANDIDATES := python3 python3.13 python3.12 python3.11
OLD_ENOUGH := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))
CODE := config deploy estimators proxy tests

.PHONY: help setup run demo test check bench month prove fmt golden lock

help:
	@echo "make run      set up, start the proxy, send it a small campaign, keep serving"
	@echo "make demo     the same campaign, then exit"
	@echo "make setup    make $(VENV), install what requirements.lock names, and real clients for the tests"
	@echo "make test     the tests (about 5 minutes at most)"
	@echo "make check    lint, types, import contracts"
	@echo "make bench    measure the proxy's weight against nginx"
	@echo "make month    a simulated month of 200,000 calls through the policies"
	@echo "make prove    the long proofs, the month among them"
	@echo "make fmt      format the code"
	@echo "make golden   rewrite the golden files; read the diff"
	@echo "make lock     resolve the dependencies anew (needs uv)"

setup: $(STAMP) $(CLIENTS_STAMP)

$(STAMP): requirements.lock pyproject.toml
	@python=""; for each in $(if $(PYTHON),"$(PYTHON)",$(CANDIDATES)); do \
	  if "$$each" -c '$(OLD_ENOUGH)' 2>/dev/null; then python="$$each"; break; fi; done; \
	if [ -z "$$python" ]; then \
	  echo "grammage needs Python 3.11 to 3.14, and none of these is one: $(or $(PYTHON),$(CANDIDATES))." >&2; \
	  echo "On Debian 12 or newer: sudo apt-get install python3 python3-venv; elsewhere: make setup PYTHON=/path/to/python3.11" >&2; exit 1; fi; \
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	  version=$$("$$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	  echo "$$python cannot make virtual environments: its venv package is missing." >&2; \
	  echo "On Debian or Ubuntu: sudo apt-get install python3-venv (or python$$version-venv)" >&2; exit 1; fi; \
	if ! "$(BIN)/python" -c '$(OLD_ENOUGH)' 2>/dev/null; then \
	  echo "making $(VENV) with $$python"; "$$python" -m venv --clear "$(VENV)"; fi
	@echo "installing what requirements.lock names; the first time takes a minute or two"
	@"$(BIN)/python" -m pip install --disable-pip-version-check --quiet --require-hashes -r requirements.lock
	@"$(BIN)/python" -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch "$@"
	@echo "installed; the command is $(BIN)/grammage"

$(CLIENTS_STAMP): $(CLIENTS_FROM) | $(STAMP)
	@echo "installing real clients for the tests into $(CLIENTS); the first time takes a minute"
	@mkdir -p "$(CLIENTS)"
	@"$(BIN)/python" -m tests.clients.install "$(CLIENTS)" && touch "$@" || \
	  echo "going on without them; the next make tries again" >&2

run: $(STAMP)
	@exec "$(BIN)/grammage" demo --keep-serving $(ARGS)

demo: $(STAMP)
	@exec "$(BIN)/grammage" demo $(ARGS)

test: setup
	"$(BIN)/python" -m pytest -m "not prove" $(ARGS)

prove: setup
	"$(BIN)/python" -m pytest -m prove $(ARGS)

check: setup
	"$(BIN)/ruff" check $(CODE)
	"$(BIN)/ruff" format --check $(CODE)
	"$(BIN)/mypy"
	"$(BIN)/lint-imports" --no-cache

bench: setup
	"$(BIN)/python" -m tests.bench $(ARGS)

month: setup
	"$(BIN)/python" -m tests.month $(ARGS)

fmt: setup
	"$(BIN)/ruff" check --fix-only --quiet $(CODE)
	"$(BIN)/ruff" format $(CODE)

golden: setup
	GRAMMAGE_GOLDEN=write "$(BIN)/python" -m pytest tests/golden $(ARGS)
	-@git --no-pager diff --stat -- tests/golden

LOCK := uv pip compile --quiet --universal --generate-hashes --no-emit-index-url
lock:
	$(LOCK) --extra dev pyproject.toml -o requirements.lock
	$(LOCK) --extra postgres --extra redis pyproject.toml deploy/docker/build.in -c requirements.lock -o deploy/docker/requirements.lock
