# The one gate of the project. GNU make; every path is relative, so the tree may lie anywhere.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install up test check bench torture lock clean

# Of these, the first that is 3.11 or newer makes .venv; `make install PYTHON=...` names one itself.
ifdef PYTHON
PYTHONS := "$(PYTHON)"
else
PYTHONS := python3 python3.13 python3.12 python3.11
endif

# Test processes side by side, and anything to add to the command that a target runs.
WORKERS ?= 2
ARGS ?=

COLLECTOR := systems/file_sla/collector
PIP := .venv/bin/python -m pip --disable-pip-version-check

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  Variables: PYTHON (makes .venv), WORKERS (test processes, $(WORKERS)), ARGS (added to up, test, bench, torture, lock)."

install: .venv/.installed ## make .venv from requirements.txt, with this project in it

.venv/.installed: requirements.txt pyproject.toml $(COLLECTOR)/pyproject.toml
	@suitable='import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))'; \
	.venv/bin/python -c "$$suitable" 2>/dev/null && exit 0; \
	for python in $(PYTHONS); do \
		if "$$python" -c "$$suitable" 2>/dev/null; then \
			echo "making .venv with $$("$$python" --version)"; \
			exec "$$python" -m venv --clear .venv; \
		fi; \
	done; \
	echo 'Windlass needs Python 3.11 or newer, with its venv module. Tried:' $(PYTHONS) >&2; \
	echo 'Install one (Debian: apt install python3 python3-venv; macOS: brew install python3),' >&2; \
	echo 'or say where it is: make install PYTHON=/path/to/python3.12' >&2; \
	exit 1
	$(PIP) install --quiet --require-hashes -r requirements.txt
	$(PIP) install --quiet --no-deps --no-build-isolation -e . -e $(COLLECTOR)
	@touch $@

up: install ## run every system on this machine
	@.venv/bin/windlass up systems $(ARGS)

test: check ## run make check, then every test, in random order
	.venv/bin/python -m pytest -n $(WORKERS) $(ARGS)

check: install ## check format, lint, types and import direction
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo

bench: install ## run the measurements in bench/
	.venv/bin/python -m bench $(ARGS)

torture: install ## kill -9 a loaded server 200 times, and count what was lost
	.venv/bin/python -m tests.torture $(ARGS)

# The oldest Python that is supported needs the most packages, so the lock is made with it.
lock: install ## pin every dependency again, with hashes (ARGS=--upgrade for newer versions)
	@.venv/bin/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { \
		echo 'The lock is made with Python 3.11: make clean, then make lock PYTHON=python3.11' >&2; exit 1; }
	CUSTOM_COMPILE_COMMAND='make lock' .venv/bin/pip-compile --quiet --generate-hashes --allow-unsafe \
		--strip-extras --extra dev --extra bench --no-emit-options --no-emit-index-url \
		--no-emit-find-links --no-emit-trusted-host --output-file requirements.txt $(ARGS) \
		pyproject.toml $(COLLECTOR)/pyproject.toml

clean: ## remove .venv, caches and builds; the state in .windlass stays
	rm -rf .venv build dist .coverage htmlcov
	find . \( -name .git -o -name .windlass \) -prune -o -type d \( -name __pycache__ -o -name '.*_cache' \
		-o -name .hypothesis -o -name '*.egg-info' \) -prune -exec rm -rf {} +
