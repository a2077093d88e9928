# Everything runs in .venv, made on first use: the system's Python is never touched.
VENV   := .venv
BIN    := $(VENV)/bin
OUT    ?= out
ARGS   ?=
TESTS  ?= tests
# Four tests per core, as many of them wait for processes and signals; more than eight disturb each other.
JOBS   ?= $(shell n=$$(( 4 * $$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2) )); [ "$$n" -gt 8 ] && echo 8 || echo "$$n")

# The newest Python that starts and is at least 3.11 (a version manager's shim may exist and not start).
# PYTHON=/path/to/python names one yourself.
find_python = for p in $(or $(PYTHON),python3.14 python3.13 python3.12 python3.11 python3 python); do \
  "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { command -v "$$p"; break; }; done

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_USER := 0
unexport PYTHONHOME PIP_TARGET PIP_PREFIX
# what was compiled once is kept: tests start some thousand processes
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test plans histories outages fuzz lint docs check bench bench-full faults fleet graphs image image-test model soak upgrade chaos constraints clean

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: $(VENV)/.run ## run the main job: a census of Python's standard library, reports in out/
	@# the embedded database may be that of an older checkout; one that was named is upgraded by whoever owns it
	@$(BIN)/trib run $(if $(TRIB_DATABASE_URL),,--auto-migrate) workflows/stdlib_census.yaml --import ./workflows/census.py --concurrency 2 -i out=$(OUT) $(ARGS)
	@printf '\nReports:\n  %s\n  %s\n' "$(abspath $(OUT))/stdlib_census.html" "$(abspath $(OUT))/stdlib_census.json"

test: $(VENV)/.test ## run the tests on the embedded PostgreSQL (TESTS=tests/spec ARGS='-k name' narrow it)
	@# all processes would compile the tests at once, each for itself
	@[ -d tests/__pycache__ ] || $(BIN)/python -m pytest -q --collect-only $(ARGS) $(TESTS) >/dev/null
	@$(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal $(ARGS) $(TESTS)

plans: $(VENV)/.test ## look at the plan of every hot statement over 1M ready and 5M finished rows (two minutes, 5 GB)
	@$(BIN)/python -m pytest -q --plans --data /tmp --timeout 600 $(ARGS) tests/plans

histories: $(VENV)/.test ## try 1,000 random histories of the protocol against its model, and let a crowd look for deadlocks (ten minutes; HISTORIES=5000 tries more)
	@$(BIN)/python -m pytest -q --histories $(or $(HISTORIES),1000) --timeout 0 $(ARGS) tests/store/test_protocol_machine.py tests/store/test_random_runs.py tests/store/test_lock_order.py

outages: $(VENV)/.test ## take databases and networks away from workers in every way (four minutes; a full disk and hosts need root, a wrong clock cc)
	@$(BIN)/python -m pytest -q -n 2 --outages --timeout 600 $(ARGS) \
	  tests/daemon/test_unusable.py tests/daemon/test_wal_disk.py tests/daemon/test_restored.py tests/daemon/test_skewed_clock.py tests/daemon/test_failover.py \
	  tests/daemon/test_many_machines.py

fuzz: $(VENV)/.test ## throw 200,000 random files, expressions, durations, cron and JSON texts, and command lines at their readers (two minutes; ARGS='--inputs 1000000 --seed 7')
	@$(BIN)/python -m tests.fuzz $(ARGS)

model: $(VENV)/.test ## search the model of the protocol in wider bounds, judge 10,000 traces of the SQL functions (ten minutes; FAULTS=2 PROCESSES=3 TRACES=50000 SEED=8)
	@$(BIN)/python -m tests.model_check --faults $(or $(FAULTS),1) --processes $(or $(PROCESSES),2) --states $(or $(STATES),500000) $(ARGS)
	@$(BIN)/python -m pytest -q -n $(JOBS) -rP -k are_allowed --traces $(or $(TRACES),10000) --trace-seed $(or $(SEED),model) tests/model_check

lint: $(VENV)/.check ## check style, types and floors
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

docs: $(VENV)/.run ## make anew what is generated: the reference in docs/language.md, the JSON Schema
	@$(BIN)/python -m tributary_daemon.tools.reference docs/language.md
	@$(BIN)/trib schema -o schemas/workflow.schema.json

check: lint test ## lint and test

bench: $(VENV)/.bench ## measure beside other systems and the yardsticks, short form (under ten minutes; ARGS='--only latency')
	@$(BIN)/python -m bench $(ARGS)

bench-full: $(VENV)/.bench ## measure everything at full size (an hour or more)
	@$(BIN)/python -m bench --full $(ARGS)

faults: $(VENV)/.bench ## inject faults and measure how long recovery takes, for docs/reliability.md (an hour; ARGS='--trials 3')
	@$(BIN)/python -m bench.faults $(ARGS)

soak: $(VENV)/.bench ## an hour of steady mixed load with pruning: does anything grow? (SECONDS=300 for a short form; ARGS='--rate 100')
	@$(BIN)/python -m bench.soak --seconds $(or $(SECONDS),3600) $(ARGS)

upgrade: $(VENV)/.test ## upgrade under a longer load, and try the commands of this release and the one before on each other's work
	@$(BIN)/python -m pytest -q --upgrade --timeout 600 $(ARGS) tests/upgrade

fleet: $(VENV)/.bench ## simulate the load of 10 to 1,000 workers on one PostgreSQL, for docs/scale-out.md (ten minutes; ARGS='--workers 300 --scenes rest')
	@$(BIN)/python -m bench.fleet --connections 200 $(ARGS)

graphs: $(VENV)/.bench ## run graphs of real workflows, and one of 20,000 steps (two minutes; GRAPHS=FOLDER names the files of WfInstances)
	@$(BIN)/python -m bench.graphs $(GRAPHS) $(ARGS)

# SECONDS is a variable of some shells: it counts here only if it is given on the command line
chaos: $(VENV)/.run ## kill, stop and cut workers and their PostgreSQL at random, then check what came of it (ten minutes; SECONDS=75 SEED=7)
	@$(BIN)/python -m chaos $(if $(filter command line,$(origin SECONDS)),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) $(ARGS)

image: ## build the container image "tributary" with docker, podman or buildah (ARGS='--build-arg EXTRAS=[crypto]')
	@if docker info >/dev/null 2>&1; then set -x; docker build -t tributary $(ARGS) .; \
	elif command -v podman >/dev/null; then set -x; podman build --format docker -t tributary $(ARGS) .; \
	elif command -v buildah >/dev/null; then set -x; buildah bud --format docker -t tributary $(ARGS) .; \
	else \
	  echo "error: neither a Docker engine nor podman nor buildah is here to build the image" >&2; \
	  echo "  hint: start Docker, or install one (Debian, Ubuntu: apt-get install podman)" >&2; \
	  exit 1; \
	fi

image-test: $(VENV)/.test ## build the image on a fresh Debian and try it (needs root, buildah, debootstrap; three minutes)
	@$(BIN)/python -m pytest -q -s --image $(ARGS) tests/container

constraints: $(VENV)/.python ## pin anew what the image installs (constraints.txt)
	@rm -rf build/constraints && $(BIN)/python -m venv build/constraints
	@build/constraints/bin/python -m pip install -q '.[crypto,images]' hatchling
	@{ echo "# What the container image installs. Made by: make constraints"; \
	  build/constraints/bin/python -m pip freeze --exclude tributary-daemon; } > constraints.txt
	@rm -rf build/constraints; rmdir build 2>/dev/null || true; git diff --stat -- constraints.txt

clean: ## remove .venv, caches and reports; databases stay
	rm -rf $(VENV) $(OUT) build dist bench/results bench/.environments .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.python:
	@python=$$($(find_python)); \
	if [ -z "$$python" ]; then \
	  echo "error: no Python 3.11 or newer $(if $(PYTHON),starts as $(PYTHON),was found)" >&2; \
	  echo "  hint: install one (Debian, Ubuntu: apt-get install python3 python3-venv), or name it: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; \
	  exit 1; \
	fi; \
	if ! "$$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then \
	  echo "error: $$python cannot make virtual environments" >&2; \
	  echo "  hint: install its venv module (Debian, Ubuntu: apt-get install python3-venv), or name another: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; \
	  exit 1; \
	fi; \
	echo "making $(VENV) with $$($$python --version)"; \
	"$$python" -m venv --clear $(VENV) && touch $@

# One stamp per set of extras; each is made again when the project's dependencies change.
$(VENV)/.run: pyproject.toml | $(VENV)/.python
	@echo "installing Tributary into $(VENV)"
	@$(BIN)/python -m pip install -q -e . && touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/.python
	@echo "installing Tributary and its test tools into $(VENV)"
	@$(BIN)/python -m pip install -q -e '.[test]' && touch $@ $(VENV)/.run

$(VENV)/.bench: pyproject.toml | $(VENV)/.python
	@echo "installing Tributary and what its benchmark draws with into $(VENV)"
	@$(BIN)/python -m pip install -q -e '.[bench]' && touch $@ $(VENV)/.run

$(VENV)/.check: pyproject.toml | $(VENV)/.python
	@echo "installing Tributary, its test and check tools into $(VENV)"
	@$(BIN)/python -m pip install -q -e '.[test,check]' && touch $@ $(VENV)/.test $(VENV)/.bench $(VENV)/.run
