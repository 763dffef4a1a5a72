# `make test` installs what the tests need and runs them all; `make check` is what continuous integration runs.

CACHE ?= $(HOME)/.cache/moonshell-tests

.PHONY: build test check format lint golden

build:
	cargo build --release

test:
	tests/support/prepare.sh $(CACHE)
	MOONSHELL_TEST_CACHE=$(CACHE) cargo test

format:
	cargo fmt --check

lint:
	cargo clippy --all-targets -- -D warnings

check: format lint test
	cargo run --release -- scripts/quickstart.lua

# Writes the generated files (API reference, editor types, expected output) anew.
golden:
	UPDATE=1 cargo test --test golden
