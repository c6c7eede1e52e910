# The words of the desk and of CI. `make run` starts the gateway; `make check` is what a change must pass.

TARGET := $(or $(CARGO_TARGET_DIR),target)
export PORTOLAN_BIN ?= $(abspath $(TARGET))/debug/portolan
PEERS := $(or $(PORTOLAN_PEERS_DIR),$(HOME)/.cache/portolan/peers)

.PHONY: run dist bench test test-full interop peers schema-suite check fmt clippy deny advisories clean

run:
	cargo run --locked --release

# The binary that is published: the `dist` profile, laid out by what it does under load.
dist:
	benches/load/trained.sh

# Direct, nginx, a bare relay and Portolan side by side: CPU per request, and its ratio to nginx. Then 10,000 tools of 500 servers.
bench: dist
	@command -v nginx >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends nginx-light; }
	LOADKIT=$(abspath $(TARGET))/loadkit/release/loadkit PORTOLAN_BIN=$(abspath $(TARGET))/trained/portolan python3 benches/load/bench.py
	PORTOLAN_BIN=$(abspath $(TARGET))/trained/portolan python3 benches/load/catalog.py

# Everything: the Rust tests, and then the gateway among real peers, which are installed first.
test: schema-suite
	$(addprefix PORTOLAN_SCHEMA_SUITE=,$(wildcard $(PEERS)/schemas/json/tests/draft2020-12)) cargo test --locked
	@$(MAKE) --no-print-directory interop

# The same with the slow tests, with many more random cases for each property, with a real model (240 MB), and with the histories of
# twenty servers (4 GB).
test-full: test
	PROPTEST_CASES=4096 cargo test --locked -- --include-ignored
	tests/interop/install.sh model precision
	python3 tests/interop/run.py --full real model
	python3 tests/interop/run.py --full twenty histories

# Real servers, clients, SDKs and agents. Missing Debian packages are installed only by root or with a password-free sudo.
interop: peers
	cargo build --locked --bins --examples
	python3 tests/interop/run.py

peers:
	tests/interop/install.sh

# The JSON Schema Test Suite, which one of the Rust tests runs where it can be had.
schema-suite:
	tests/interop/install.sh schemas

check: fmt clippy deny test

fmt:
	cargo fmt --check

clippy:
	cargo clippy --locked --all-targets -- -D warnings

deny:
	@cargo deny --version >/dev/null 2>&1 || cargo install cargo-deny --locked
	cargo deny check --hide-inclusion-graph bans licenses sources

# Asks the advisory database over the network; not part of `check`, which says the same today and tomorrow.
advisories:
	@cargo deny --version >/dev/null 2>&1 || cargo install cargo-deny --locked
	cargo deny check advisories

clean:
	cargo clean
