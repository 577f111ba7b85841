# `make run` and `make test` are all that a new user needs; everything they use is installed into .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2

.PHONY: run test check bench simulate faults screenshots system-packages clean
run: $(VENV)/.installed
	@$(BIN)/edgetill demo --directory build/run

test: check
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

check: $(VENV)/.installed
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

bench: $(VENV)/.installed
	@$(BIN)/python -m tests.bench $(if $(FIGURE),--figure $(FIGURE))

SEED ?= 1
RUNS ?= 20
STEPS ?= 600
simulate: $(VENV)/.installed
	@$(BIN)/python -m tests.simulation --seed $(SEED) --runs $(RUNS) --steps $(STEPS)

MINUTES ?= 15
faults: $(VENV)/.installed
	@$(BIN)/python -m tests.faults --minutes $(MINUTES) $(if $(ONLY),--only $(ONLY)) \
		$(if $(filter command line environment,$(origin SEED)),--seed $(SEED))

screenshots: $(VENV)/.installed
	@$(BIN)/python -m tests.screens

system-packages:
	apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends git make python3 python3-venv \
		postgresql chromium tmux fonts-noto-cjk librsvg2-bin

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info < (3, 13), "edgetill needs Python 3.11 or 3.12"'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@$(BIN)/python -c 'import schema.command_line'
	@touch $@

clean:
	rm -rf build $(VENV) .mypy_cache .ruff_cache
