# make demo         run the gateway with a bundled example server; needs Python 3.11 or later, nothing else
# make test         every check: format, lint, types, layers, tests; ARGS="tests/cli -x" goes to pytest
# make tools        install the programs the tests talk to (root on Debian); without them those tests are skipped
# make bench        measure speed and cost; ARGS="--quick" for a look, ARGS="--help" shows the choices
# make profile      show where the gateway's time goes; OF=list for another operation than the echo
# make constraints  pin every dependency again

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
# The pins are the whole closure; a pip that resolves may want a release newer than the pin for `package[extra]`.
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps
ARGS ?=
OF ?= echo

.PHONY: help demo test tools bench profile constraints clean

help:
	@sed -n 's/^# //p' Makefile

demo: .venv/.runtime
	@exec $(BIN)/portkey-mcp demo $(ARGS)

test: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest $(ARGS)

bench: .venv/.dev
	$(BIN)/python -m benchmarks $(ARGS)

profile: .venv/.dev
	$(BIN)/python -m benchmarks --profile $(OF) $(ARGS)

# A stamp file stands for "installed from exactly these pins"; nothing is installed twice.
.venv/.runtime: constraints.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "portkey-mcp needs Python 3.11 or later; set PYTHON=/path/to/python3" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
		{ echo "Python's venv module is missing; on Debian: apt-get install python3-venv" >&2; rm -rf .venv; exit 1; }
	@echo "Installing what the gateway needs into .venv ..."
	@$(PIP) --require-hashes -r constraints.txt
	@$(PIP) --no-build-isolation -e .
	@touch $@

.venv/.dev: .venv/.runtime constraints-dev.txt
	@echo "Installing what the checks need into .venv ..."
	@$(PIP) --require-hashes -r constraints-dev.txt
	@touch $@

tools: .tools/.installed

.tools/.installed: tests/tools/package.json tests/tools/package-lock.json tests/tools/install
	bash tests/tools/install
	@touch $@

constraints:
	$(or $(PYTHON),python3) -m venv .data/uv
	.data/uv/bin/pip install --quiet uv
	bash tests/tools/pin .data/uv/bin/uv

clean:
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis
