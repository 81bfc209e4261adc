# Two commands do all set-up: `make demo` runs the workflow, `make test` the tests.
PYTHON ?= python3
BIN := .venv/bin
CORES ?= all

.PHONY: help install demo test lint docs format schema lock clean

help:
	@echo "make demo    install into .venv and run the whole chain on a simulated screen"
	@echo "make install install into .venv, and nothing else"
	@echo "make test    install into .venv and run all tests"
	@echo "make lint    check style, types, schema and workflow"
	@echo "make docs    build the documentation as a site, site/index.html"
	@echo "make format  rewrite the sources in the project's style"
	@echo "make schema  write config schema and reference from the config model"
	@echo "make lock    pin the newest versions of all dependencies"
	@echo "make clean   remove .venv, results, resources, logs and site"

.venv/ready: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit("lgem needs Python 3.11 or newer, found " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

install: .venv/ready

demo: .venv/ready
	$(BIN)/snakemake --cores $(CORES) --config dataset=demo

test: .venv/ready
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/mypy
	$(BIN)/snakemake --lint

docs: .venv/ready
	$(BIN)/mkdocs build --strict --quiet
	@echo "site/index.html"

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

schema: .venv/ready
	$(BIN)/python -m lgem.config > workflow/schemas/config.schema.json
	$(BIN)/python docs/config_reference.py

lock:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet uv
	.venv-lock/bin/uv pip compile --quiet --upgrade --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-annotate --no-header pyproject.toml --group dev -o requirements.lock
	rm -rf .venv-lock

clean:
	rm -rf .venv .snakemake logs resources site
	find results -mindepth 1 ! -name README.md -delete
