# `make help` lists what there is. Everything below works from a fresh clone.

CACHE  := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ottla
TARGET := $(or $(OTTLA_TARGET_DIR),$(CARGO_TARGET_DIR),$(CACHE)/target)

# The build results lie outside the checkout, so that they survive a fresh clone.
export CARGO_TARGET_DIR := $(TARGET)
export OTTLA_CACHE := $(CACHE)
export OTTLA_BIN ?= $(TARGET)/release/ottla

.DEFAULT_GOAL := help
.PHONY: help run build test compat bench check fix install-build-deps install-test-deps clean

run: build ## Build and start a broker on localhost:9092, data in ./ottla-data (ARGS="--memory" adds options)
	@exec "$(OTTLA_BIN)" serve --data ./ottla-data $(ARGS)

build: install-build-deps ## Build the release binary
	@scripts/build

test: install-build-deps install-test-deps ## Run every check and test (what .ci/run does)
	@scripts/with-target scripts/test

compat: install-build-deps install-test-deps ## Run everything of others that can judge a broker (takes an hour)
	@scripts/with-target scripts/compat

check: install-build-deps ## Run the fast checks: format, lints, tidy, unit tests
	@scripts/with-target cargo xtask check

fix: install-build-deps ## Format, apply lint suggestions, write generated pages
	@scripts/with-target cargo xtask fix

bench: build ## Measure brokers side by side (ARGS="--goals" for the goals, ARGS="--help" lists the options)
	@scripts/bench $(ARGS)

install-build-deps: ## Install what building needs, if it is missing (Debian, Ubuntu)
	@scripts/install-build-deps
	@scripts/rocksdb

install-test-deps: ## Install what the tests need: packages if missing, Python's into .venv
	@scripts/install-test-deps

clean: ## Remove build results; the compiled RocksDB stays
	rm -rf "$(TARGET)"

help:
	@awk 'BEGIN { FS = ":.*## "; print "Ottla. Targets:" } \
	      /^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' Makefile
	@echo "Build results go to $(TARGET) (OTTLA_TARGET_DIR or CARGO_TARGET_DIR change that)."
