# Everything a developer types. `make help` lists the targets.
# The virtual environment is made on demand, and again when the pins change.

VENV := .venv
PYTHON := $(VENV)/bin/python
ARGS ?=

# On a terminal pip shows what it does. Since version 25.1 it has a bar for the installation, too.
PIP := pip>=25.1,<27
QUIET = $$(test -t 1 || echo -qq)

PYTEST = $(PYTHON) -m pytest -n 2 --dist worksteal

# The first of these that is at least 3.11; `make PYTHON3=/path/to/python test` overrules it.
PYTHON3 ?= $(shell for python in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null \
	&& { echo $$python; break; }; done)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-slow test-versions test-browser test-servers lint format bench bench-scale profile clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

demo: $(VENV)/.stamp-test  ## synthesize a small corpus; show its table, a picture, a classifier's score, a report (in demo/)
	@$(PYTHON) -m jobs.demo $(ARGS)

# Three at a time also on two cores, since tests wait for processes now and then.
test: $(VENV)/.stamp-test  ## the quick tests, three at a time (ARGS="-k name -n 4" selects, and says how many)
	$(PYTEST) -n 3 -m "not slow and not browser and not programs" $(ARGS)

test-slow: $(VENV)/.stamp-test  ## the slow tests, and the property tests with more examples
	$(PYTEST) -m "(slow or hypothesis) and not browser and not programs" --hypothesis-profile thorough $(ARGS)

test-versions:  ## the kernels' tests on the lowest and highest numba, and on each Python here (ARGS="3.12")
	$(PYTHON3) tests/versions.py $(ARGS)

test-browser: $(VENV)/.stamp-test  ## the pages of `featurelib report` in Debian's chromium
	@command -v chromium > /dev/null || { \
		echo "make test-browser needs chromium: apt-get install chromium (.ci/run does)" >&2; exit 1; }
	$(PYTEST) -m browser $(ARGS)

test-servers: $(VENV)/.stamp-test  ## the tests against real servers: an S3 gateway, Slurm, … (see tests/servers)
	@test -n "$$FEATURELIB_TEST_S3_ENDPOINT" && test -n "$$AWS_ACCESS_KEY_ID" \
		&& test -n "$$AWS_SECRET_ACCESS_KEY" || { \
		echo "make test-servers needs FEATURELIB_TEST_S3_ENDPOINT, AWS_ACCESS_KEY_ID and" >&2; \
		echo "AWS_SECRET_ACCESS_KEY. To start a Ceph gateway here and set them:" >&2; \
		echo "    tests/servers/rgw-up.sh && . /tmp/featurelib-rgw/env" >&2; \
		echo "(.ci/run does all of it; tests/servers/README.md says which packages.)" >&2; \
		exit 1; }
	$(PYTEST) -m "servers or programs" $(ARGS)

lint: $(VENV)/.stamp-dev  ## ruff and mypy
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(VENV)/.stamp-dev  ## let ruff mend what it can
	$(VENV)/bin/ruff check --fix-only .
	$(VENV)/bin/ruff format .

bench: $(VENV)/.stamp-test  ## measure: speeds as ratios, memory (ARGS="start extractor clips presets decode job rows memory time_left faults")
	$(PYTHON) -m tests.benchmarks $(ARGS)

bench-scale: $(VENV)/.stamp-test  ## measure the driver, and what reads tables, for very many files (ARGS="200000" for fewer)
	$(PYTHON) -m tests.benchmarks scale $(ARGS)

profile: $(VENV)/.stamp-test  ## show where the time of one file goes (ARGS="genre-v1 FILE")
	$(PYTHON) -m tests.benchmarks.profile $(ARGS)

clean:  ## remove the demo, caches and builds (not .venv)
	rm -rf demo build dist *.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

# The stamps say which extra is installed with which pins: .stamp-test, .stamp-dev.
$(VENV)/.stamp-%: pyproject.toml constraints.txt | $(PYTHON)
	@echo "Installing featurelib[$*] into $(VENV) (the first time takes some minutes)"
	@$(PYTHON) -m pip install $(QUIET) --disable-pip-version-check -c constraints.txt -e ".[$*]"
	@$(VENV)/bin/featurelib compile
	@touch $@

$(PYTHON):
	@test -n "$(PYTHON3)" || { \
		echo "No Python 3.11 or newer found: install it, or name it: make PYTHON3=/path/to/python3.11" >&2; \
		exit 1; }
	@echo "Making $(VENV) with $(PYTHON3)"
	@$(PYTHON3) -m venv $(VENV) && \
		$(PYTHON) -m pip install $(QUIET) --disable-pip-version-check "$(PIP)" \
		|| { rm -rf $(VENV); exit 1; }
