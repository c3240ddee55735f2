# Two commands matter: `make demo` and `make test`. Everything they make is below this folder.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo smoke test check bench crashtest lock clean

demo: $(VENV)/runtime
	@$(BIN)/python -m demo

smoke: $(VENV)/runtime
	@$(BIN)/python -m demo.smoke

test: $(VENV)/dev
	@$(BIN)/python -m tests.run

check: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MODE=test $(BIN)/lint-imports
	MODE=test $(BIN)/mypy .
	MODE=test $(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python -m tests.check_deploy

bench: $(VENV)/dev
	@$(BIN)/python -m bench

crashtest: $(VENV)/dev
	@$(BIN)/python -m crashtest

clean:
	rm -rf $(VENV) var staticfiles

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/runtime: requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

$(VENV)/dev: requirements-dev.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@ $(VENV)/runtime

# Pin what requirements*.in name, with hashes.
lock: $(VENV)/dev
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes requirements.in -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes requirements-dev.in -o requirements-dev.txt
