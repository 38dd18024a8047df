# `make demo` and `make test` set up whatever a fresh machine lacks; everything else here is a part of them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

PYTHON = $$(ci/python)
TOOLS = eval "$$(python3 ci/toolchain env)"
export PYTHONPATH := $(CURDIR)/pipeline
UNDER =
PYTEST = $(PYTHON) $(UNDER) -m pytest
PYTEST_ARGS ?=
# $(call RUN,…): tests with these options. Exit code 75 of tests/dagger/starting.py: nothing failed but containers that
# never started, and only a new session tries those again.
define RUN
code=0
$(PYTEST) --dist loadfile $(1) $(PYTEST_ARGS) || code=$$?
[ $$code != 75 ] || exec $(PYTEST) --last-failed --dist loadfile $(1) $(PYTEST_ARGS)
exit $$code
endef

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: demo
demo: tools-demo ## Release the example with Dagger, in a lab, and show the verdicts
	@ci/demo

.PHONY: test
test: tools ## Everything that CI runs
	# What was not running before is stopped again, also after a failure.
	python3 ci/toolchain engine status >/dev/null || trap '$(MAKE) --no-print-directory stop' EXIT
	$(MAKE) --no-print-directory lint unit servers

.PHONY: tools
tools: ## Install the engine and the tools that are missing
	@ci/python >/dev/null
	python3 ci/toolchain install

.PHONY: tools-demo
tools-demo: ## Install what the demo needs, without the consumers of the tests
	@ci/python >/dev/null
	python3 ci/toolchain install --for demo

.PHONY: stop
stop: ## Stop the engines and the registry that were started here
	@python3 ci/toolchain engine stop --all
	python3 ci/toolchain registry stop

.PHONY: lint
lint: ## Type checks and lint
	@python=$(PYTHON)
	"$$python" -m ruff check .
	"$$python" -m ruff format --check .
	"$$python" -m mypy

.PHONY: unit
unit: ## Tests that need nothing but Python
	@$(call RUN,-n 2 tests/unit tests/conformance)

FUZZ ?= 20
.PHONY: fuzz
fuzz: ## Mutants of bundles, layouts and policies, FUZZ times as many as `make unit` tries
	@DHALLMARK_FUZZ=$(FUZZ) $(PYTHON) -m pytest -n 2 --hypothesis-show-statistics tests/unit/verify/test_mutations.py \
		tests/unit/verify/layouts/test_properties.py tests/unit/config/test_policy_fuzz.py $(PYTEST_ARGS)

.PHONY: servers
servers: tools ## The tests of `component` and `dagger` beside each other, in one run
	@$(TOOLS)
	$(call RUN,-n 6 --no-loadscope-reorder tests/dagger tests/docs tests/component)

.PHONY: component
component: tools ## Tests against real servers, in network namespaces of their own
	@$(TOOLS)
	$(call RUN,-n 4 tests/docs tests/component)

.PHONY: dagger
dagger: tools ## Tests against a real Dagger engine
	@$(TOOLS)
	$(call RUN,-n 2 tests/dagger)

.PHONY: coverage
coverage: ## What the tests cover: runs all of them, for a fifth longer
	@rm -f .coverage*
	python3 ci/toolchain engine status >/dev/null || trap '$(MAKE) --no-print-directory stop' EXIT
	$(MAKE) --no-print-directory unit servers UNDER='-m coverage run'
	python=$(PYTHON)
	"$$python" -m coverage combine --quiet
	"$$python" -m coverage report --skip-covered --sort=cover

.PHONY: bench
bench: tools ## Measure against what a user would use instead
	@$(TOOLS)
	for program in bench/*/bench.py; do $(PYTHON) "$$program"; done

.PHONY: clean
clean: ## Remove what tests leave in the folder; the cache of tools stays
	@rm -rf build out .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis
