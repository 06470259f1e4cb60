# Everything a checkout needs: `make help` lists it. Needs Python >= 3.11, make and pip access, nothing else.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test check venv acceptance pictures bench rig-sim rig-cross rig-mutants rig-machine rig-faults rig-kill rig-recovery rig-redis rig-proxy rig-failovers rig-sqlite rig-fuzz rig-wide

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

# The rigs that try to break it; docs/guarantees.md says what each does, and what it found.
rig-sim: SEEDS ?= 1000
rig-sim: $(VENV)/installed ## simulate random histories (SEEDS=1000; ARGS='--store redis')
	@$(BIN)/python -m tests.simulation.run $(SEEDS) --jobs 2 $(ARGS)

rig-cross: SEEDS ?= 300
rig-cross: $(VENV)/installed ## replay simulated journals under other hash seeds (OTHERS='python3.12 …': and other Pythons)
	@PYTHONHASHSEED=1 $(BIN)/python -m tests.simulation.cross record $(VENV)/journals.json $(SEEDS)
	@for python in $(BIN)/python $(OTHERS); do for what in replay changed; do \
		PYTHONHASHSEED=2 $$python -m tests.simulation.cross $$what $(VENV)/journals.json || exit 1; done; done

rig-mutants: $(VENV)/installed ## break each rule on purpose: its rig must notice (ARGS='NAME…' to choose)
	@$(BIN)/python -m tests.mutants.run --jobs 2 $(ARGS)

rig-machine: COUNT ?= 2000
rig-machine: $(VENV)/installed ## random operations on two stores that must stay equal (COUNT=2000; ARGS='--store redis')
	@$(BIN)/python -m tests.stores.run_state_machine $(COUNT) $(ARGS)

rig-faults: $(VENV)/installed ## a fault at every store call of every scenario (ARGS='--store sqlite --pairs')
	@$(BIN)/python -m tests.faults.run $(ARGS)

rig-kill: N ?= 200
rig-kill: $(VENV)/installed ## SIGKILL real workers, at named points and at random (N=200; ARGS='--store redis --flows 2000')
	@$(BIN)/python -m tests.kills.run $(N) $(ARGS)

rig-recovery: N ?= 200
rig-recovery: $(VENV)/installed ## how soon the flows of killed workers go on (N=200; ARGS='--store redis')
	@$(BIN)/python -m tests.kills.recovery $(N) $(ARGS)

rig-redis: N ?= 20
rig-redis: $(VENV)/installed ## SIGKILL a Redis server, and workers beside it (N=20)
	@$(BIN)/python -m tests.kills.run $(N) --store redis --server-kills $(N) $(ARGS)

rig-proxy: SECONDS ?= 60
rig-proxy: $(VENV)/installed ## run workers behind a proxy that does mischief to Redis' answers (SECONDS=60)
	@$(BIN)/python -m tests.redis_rig proxy $(SECONDS) $(ARGS)

rig-failovers: COUNT ?= 20
rig-failovers: $(VENV)/installed ## let one Redis server after the other take over under load (COUNT=20)
	@$(BIN)/python -m tests.redis_failovers $(COUNT) $(ARGS)

rig-sqlite: RIG ?= full
rig-sqlite: COUNT ?= 200
rig-sqlite: $(VENV)/installed ## full disks, changed bytes, many writers (RIG='full' 'flips' 'wal' 'stress' …, COUNT=200)
	@$(BIN)/python -m tests.stores.sqlite_rig $(RIG) $(COUNT) $(ARGS)

rig-fuzz: MINUTES ?= 10
rig-fuzz: $(VENV)/installed ## hostile command lines, files, payloads, journals, Redis answers (MINUTES=10)
	@$(BIN)/python -m tests.fuzz.run --minutes $(MINUTES) $(ARGS)

rig-wide: COUNT ?= 10000
rig-wide: $(VENV)/installed ## measure flows with very many children and steps (COUNT=10000)
	@$(BIN)/python -m tests.runtime.fanout $(COUNT) $(ARGS)

bench: ROUNDS ?= 5
bench: $(VENV)/installed ## compare with other engines and bare loops (WORKS='T1 T2', ROUNDS=5; ARGS='--write-docs')
	@$(BIN)/python -m benchmarks.run $(WORKS) --rounds $(ROUNDS) $(ARGS)

pictures: $(VENV)/installed ## draw the pictures of docs/inspecting.md anew
	@$(BIN)/python -m tests.pictures

venv: $(VENV)/installed ## make .venv with Ergon and the development tools in it

$(VENV)/installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo 'error: no Python >= 3.11 found; name one: make PYTHON=/path/to/python3.12' >&2; exit 1; }
	@$(BIN)/python -c 'import ssl' >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -e '.[dev]'
	@touch $@
