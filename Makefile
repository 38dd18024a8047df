# `make demo` and `make test` set up whatever a fresh machine lacks; everything else here is a part of them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

PYTHON = $$(ci/python)
TOOLS = eval "$$(python3 ci/toolchain env)"
export PYTHONPATH := $(CURDIR)/pipeline
PYTEST_ARGS ?=

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: demo
demo: tools ## Release the example with Dagger, in a lab, and show the verdicts
	@$(TOOLS)
	$(PYTHON) -m demo

.PHONY: test
test: tools lint unit component dagger coverage ## Everything that CI runs

.PHONY: tools
tools: ## Install the engine and the tools that are missing
	@python3 ci/toolchain install

.PHONY: lint
lint: ## Type checks and lint
	@python=$(PYTHON)
	"$$python" -m ruff check .
	"$$python" -m ruff format --check .
	"$$python" -m mypy

.PHONY: unit
unit: ## Tests that need nothing but Python
	@$(PYTHON) -m coverage run -m pytest tests/unit $(PYTEST_ARGS)

.PHONY: component
component: tools ## Tests against real servers, in network namespaces of their own
	@$(TOOLS)
	$(PYTHON) -m coverage run -m pytest tests/component tests/docs $(PYTEST_ARGS)

.PHONY: dagger
dagger: tools ## Tests against a real Dagger engine
	@$(TOOLS)
	$(PYTHON) -m coverage run -m pytest tests/dagger $(PYTEST_ARGS)

.PHONY: coverage
coverage: ## The coverage of what ran since the last `make clean`
	@python=$(PYTHON)
	"$$python" -m coverage combine --quiet
	"$$python" -m coverage report --skip-covered --sort=cover

.PHONY: clean
clean: ## Remove what tests leave in the folder; the cache of tools stays
	@rm -rf build out .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis
