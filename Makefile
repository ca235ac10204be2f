# gridbook: everything runs in .venv, which is made from requirements.lock when it is first needed.
# Needs Python 3.11 and make; the local broker needs Java 17 and Maven. ARGS=… is passed on.

ARGS ?=
PYTHON ?=
SEED ?= 1
MINUTES ?= 15
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
ROOMS := schemas domain projections consumers infra gateways examples benchmarks
UV_VERSION := 0.13.9

.PHONY: demo test soak check bench lock venv clean

demo: venv
	$(BIN)/python -m examples.demo $(ARGS)

# Half of the tests wait for servers while the other half computes; WORKERS=0 runs them one after the other.
test: venv
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadgroup $(ARGS)

# The long fault tests, then random faults over real processes on three brokers: make soak SEED=1 MINUTES=15
soak: venv
	$(BIN)/pytest tests/faults -m long
	$(BIN)/python -m tests.faults.soak --seed $(SEED) --minutes $(MINUTES)

check: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(ROOMS)
	$(BIN)/lint-imports

bench: venv
	$(BIN)/python -m benchmarks $(ARGS)

# Optional: native code of the hot modules, for today's sources; needs gcc and Python's headers.
.PHONY: compile
compile: venv
	$(BIN)/python -m infra.compile

venv: $(VENV)/.installed

# The stamp is a copy of the lock and is written last: an interrupted build has none and is made again
# from nothing; a lock that is only newer, not different, costs nothing.
$(VENV)/.locked: requirements.lock
	@set -e; \
	if cmp -s requirements.lock $@ && $(BIN)/python -c ''; then touch $@; exit 0; fi; \
	for candidate in $(PYTHON) python3.11 python3; do \
	    if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python="$$candidate"; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "gridbook needs Python 3.11 or newer, and none of '$(strip $(PYTHON) python3.11 python3)' is one:" \
	         "install it, or name it with make PYTHON=…" >&2; exit 1; \
	fi; \
	echo "making $(VENV) with $$python"; \
	rm -rf $(VENV); \
	"$$python" -m venv $(VENV); \
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock; \
	cp requirements.lock $@

# An editable install: a .pth to this checkout and the script `gridbook`. It leaves the packages from the
# lock alone: a change in a tool's configuration must not disturb an environment in use.
$(VENV)/.installed: pyproject.toml $(VENV)/.locked
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# Writes names, versions and hashes of all platforms; no host and no path of this machine.
lock:
	@set -e; folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	$${PYTHON:-python3.11} -m venv "$$folder"; \
	"$$folder/bin/python" -m pip install --quiet uv==$(UV_VERSION); \
	"$$folder/bin/uv" --quiet --no-config pip compile --universal --python-version 3.11 --generate-hashes \
	    --no-header --extra dev pyproject.toml --output-file requirements.lock $(ARGS)

# Not the data of a demo (.gridbook): its servers may still be running on it.
clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
