# Everything a developer or an operator does, one word each. `make` alone lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
SEED   ?= 1
N      ?= 1
WORKERS ?= 2
export PIP_DISABLE_PIP_VERSION_CHECK := 1

CODE := cloudsync adapters tests $(wildcard bench)

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all trust trust-night trust-release trust-table fuzz evidence seeded mutation check format bench schema sim sbom audit lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## .venv with cloudsync, every extra and the tools, from the hash-pinned lock

$(STAMP): requirements.lock requirements-source.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "cloudsync needs Python 3.11 or newer; $(PYTHON) is older. Try: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) cannot make virtual environments; install its venv package (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --only-binary :all: -r requirements.lock
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps --no-build-isolation -r requirements-source.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q cloudsync adapters
	$(BIN)/python -m cloudsync_aws.models
	@touch $@

demo: $(STAMP) ## the whole main job against a simulated estate on loopback
	$(BIN)/python -m cloudsync.lab.demo

test: $(STAMP) ## the tests that take seconds
	$(BIN)/python -m pytest -q -n $(WORKERS) -m "not slow"

test-all: $(STAMP) ## every test, the long ones too
	$(BIN)/python -m pytest -q -n $(WORKERS)

# A part or a promise alone: PART=crash, PART=T3. A night and a release draw a seed and print it; SEED=7 replays.
TRUST = $(BIN)/python -m tests.trust --workers $(WORKERS) $(if $(PART),--part $(PART)) $(if $(filter command environment,$(firstword $(origin SEED))),--seed $(SEED))

trust: $(STAMP) ## the campaign in minutes (it is part of `make test`), with its figures
	$(TRUST) --budget change

trust-night: $(STAMP) ## the campaign in hours
	$(TRUST) --budget night

trust-release: $(STAMP) ## all of the campaign, part by part if you like: make trust-release PART=T3
	$(TRUST) --budget release

trust-table: $(STAMP) ## write the tables again from docs/trust-figures.json
	$(BIN)/python -m tests.trust --table

fuzz: $(STAMP) ## feed every parser what nobody would write: make fuzz SECONDS=600 TARGET=policy
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),60) --workers $(WORKERS) $(TARGET)

evidence: $(STAMP) ## why the labs behave as they do: the share of what is only assumed
	$(BIN)/python -m cloudsync.lab.evidence

seeded: $(STAMP) ## plant every known mistake in a copy and see a test catch it
	$(BIN)/python -m tests.seeded

mutation: $(STAMP) ## small mistakes in what decides and writes, and which test notices: make mutation SCOPE=guard SAMPLE=200
	$(BIN)/python -m tests.mutation $(SCOPE) $(if $(SAMPLE),--sample $(SAMPLE)) --workers $(WORKERS)

check: $(STAMP) ## format, lint, types, walls, tidiness
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -s tests/tidy

format: $(STAMP) ## let ruff format and mend what it can
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

bench: $(STAMP) ## measure beside other tools and plain scripts in one run, and write docs/benchmarks
	$(BIN)/python -m bench

schema: $(STAMP) ## write the JSON Schemas again from the document types
	$(BIN)/python -m cloudsync.settings.generate cloudsync/schema
	$(BIN)/python -m cloudsync.settings.generate config/schema

sim: $(STAMP) ## replay seeded simulations: make sim SEED=7 N=100
	CLOUDSYNC_SIM_N=$(N) $(BIN)/python -m pytest -q -m "not slow" tests/sim tests/wire/test_campaign.py tests/wire/test_four_readers.py tests/wire/test_four_campaign.py --sim-seed $(SEED)

# uv resolves for every platform at once; the locks name neither an index nor a path, so that they work behind any mirror.
# Two packages of F5 are published as sources only: they stand in a lock of their own and are built with the pinned setuptools.
SOURCES := f5-sdk f5-icontrol-rest
lock: ## resolve again and write the two lock files
	@echo '# Made by `make lock` from pyproject.toml: hash-pinned, for every platform and Python >= 3.11. Do not edit.' > requirements.lock.new
	@cp requirements.lock.new requirements-source.lock.new
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
	  --no-annotate --no-header --no-emit-index-url --upgrade --quiet $(SOURCES:%=--no-emit-package %) >> requirements.lock.new
	sed -n 's/.*"\(f5-[a-z-]*==[0-9.]*\)".*"\(f5-[a-z-]*==[0-9.]*\)".*/\1\n\2/p' pyproject.toml | \
	  $(BIN)/uv pip compile - --universal --python-version 3.11 --generate-hashes --no-deps \
	  --no-annotate --no-header --no-emit-index-url --quiet >> requirements-source.lock.new
	mv requirements.lock.new requirements.lock
	mv requirements-source.lock.new requirements-source.lock

sbom: $(STAMP) ## what is in an installation, as CycloneDX: sbom.json, from the locks
	cat requirements.lock requirements-source.lock | $(BIN)/uv tool run --from cyclonedx-bom==7.5.0 cyclonedx-py requirements - --output-reproducible -o sbom.json

# The database of known weaknesses has to be reachable: a package that could not be looked up is said to be so, and is not clean.
audit: $(STAMP) ## ask for known weaknesses of what the locks pin
	$(BIN)/uv tool run pip-audit==2.10.1 -r requirements.lock --disable-pip --strict

clean: ## remove what can be made again
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
