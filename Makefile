# Everything a checkout needs: `make help` lists it. Needs Python >= 3.11, make and pip access, nothing else.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
SEEDS ?= 300
KILLS ?= 20
COUNT ?= 10000
SECONDS ?= 10
COUNT ?= 20
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test check venv acceptance sim mutants cross kills children redis-kills redis-proxy redis-failovers pictures

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

demo: $(VENV)/installed ## watch a flow survive the death of its worker
	@$(BIN)/python sample_flows/demo.py

test: $(VENV)/installed ## run all tests (ARGS='tests/cli -x' to choose)
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile $(ARGS)

check: $(VENV)/installed ## formatting, lint, both type checkers, layers
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/pyright --warnings --pythonpath $(BIN)/python
	@$(BIN)/python -m pytest -q tests/test_layers.py tests/test_house.py

acceptance: $(VENV)/installed ## only the tests that run the real command line
	@$(BIN)/python -m pytest -q tests/acceptance $(ARGS)

sim: $(VENV)/installed ## simulate random histories, crashes and upgrades (SEEDS=300)
	@$(BIN)/python -m tests.simulation.run $(SEEDS) $(ARGS)

mutants: $(VENV)/installed ## switch rules off and see how many of 100 simulated histories notice
	@$(BIN)/python -m tests.simulation.mutants 100 $(ARGS)

cross: $(VENV)/installed ## replay simulated journals under other hash seeds (OTHERS='python3.12 …': and other Pythons)
	@PYTHONHASHSEED=1 $(BIN)/python -m tests.simulation.cross record $(VENV)/journals.json $(SEEDS)
	@for python in $(BIN)/python $(OTHERS); do for what in replay changed; do \
		PYTHONHASHSEED=2 $$python -m tests.simulation.cross $$what $(VENV)/journals.json || exit 1; done; done

kills: $(VENV)/installed ## kill real workers at random moments (KILLS=20)
	@ERGON_TEST_KILLS=$(KILLS) $(BIN)/python -m pytest -q tests/acceptance/test_kills.py $(ARGS)

children: $(VENV)/installed ## measure flows with very many children and steps (COUNT=10000)
	@$(BIN)/python -m tests.runtime.fanout $(COUNT) $(ARGS)

redis-kills: $(VENV)/installed ## kill a real redis-server and workers at random moments (KILLS=20)
	@$(BIN)/python -m tests.redis_rig kills $(KILLS) $(ARGS)

redis-proxy: $(VENV)/installed ## run workers behind a proxy that does mischief (SECONDS=10)
	@$(BIN)/python -m tests.redis_rig proxy $(SECONDS) $(ARGS)

redis-failovers: $(VENV)/installed ## let one Redis server after the other take over under load (COUNT=20)
	@$(BIN)/python -m tests.redis_failovers $(COUNT) $(ARGS)

pictures: $(VENV)/installed ## draw the pictures of docs/inspecting.md anew
	@$(BIN)/python -m tests.pictures

venv: $(VENV)/installed ## make .venv with Ergon and the development tools in it

$(VENV)/installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo 'error: no Python >= 3.11 found; name one: make PYTHON=/path/to/python3.12' >&2; exit 1; }
	@$(BIN)/python -c 'import ssl' >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -e '.[dev]'
	@touch $@
