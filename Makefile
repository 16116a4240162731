# `make help` lists the targets. Every target first installs what it lacks (Debian 12) or
# says what is missing (elsewhere); nothing is downloaded when all is there.

SHELL := /bin/sh
export PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)
TARGET := $(or $(CARGO_TARGET_DIR),target)

# What the targets may be given: make run ARGS="status", make interop ARGS="--only loss" ...
ARGS ?=
SECONDS_EACH ?= 60

.DEFAULT_GOAL := help
.PHONY: help setup run test check fmt bench bench-build bench-files bench-group \
	bench-device bench-search bench-crowd bench-names bench-web conformance fuzz hostile interop \
	crash sim deny web e2e man install clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install everything that `make test` needs, then stop
	@scripts/setup.sh test

run: ## build and start a node (ARGS="..." passes other arguments: make run ARGS="--help")
	@scripts/setup.sh build
	@scripts/web.sh build
	cargo run --locked --quiet --package baraza --bin baraza -- $(or $(ARGS),run)

test: ## all tests: units, simulator, the app in a browser, real peers; one command on a clean checkout
	@scripts/test.sh

check: ## formatting, lints, documentation, licences (warnings are errors)
	@scripts/setup.sh check
	@scripts/web.sh check
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --quiet
	python3 scripts/deny.py

web: ## build the web app that the node embeds, if anything of it changed
	@scripts/setup.sh build
	@scripts/web.sh build

e2e: ## the app in a browser, on real nodes, with real Jami daemons; writes docs/screenshots
	@scripts/setup.sh e2e
	@scripts/web.sh build
	cargo build --locked --package baraza --bins
	node web/e2e/run.mjs $(ARGS)
	node web/e2e/more.mjs $(ARGS)

fmt: ## format all code
	cargo fmt --all

deny: ## licences, banned crates and sources of the dependencies (rules: deny.toml)
	@python3 scripts/deny.py

interop: ## the interop matrix with real Jami daemons: a table, every cell (ARGS="--help")
	@scripts/setup.sh test
	cargo build --locked --package baraza --bins
	testing/peers/matrix.py --foreign "$(TARGET)/debug/jami-peer" --baraza "$(TARGET)/debug/baraza" $(ARGS)

hostile: ## random and mutated packets against a live DHT node: it stays up, memory stays flat
	@scripts/setup.sh test
	cargo build --locked --package baraza --bin baraza
	testing/peers/hostile.py --baraza "$(TARGET)/debug/baraza" $(ARGS)

conformance: ## what the OpenAPI descriptions promise, asked of a running node and name server (schemathesis)
	@scripts/setup.sh test
	cargo build --locked --package baraza --bin baraza
	testing/conformance/run.py --baraza "$(TARGET)/debug/baraza" $(ARGS)

crash: ## kill -9 at 1,000 random instants: nothing acknowledged is lost (ARGS="--kills 100")
	@scripts/setup.sh test
	cargo build --locked --package baraza --bins
	testing/peers/crash.py --foreign "$(TARGET)/debug/jami-peer" --baraza "$(TARGET)/debug/baraza" $(ARGS)

sim: ## the simulated network: 1,000-node DHT; two users and groups of up to 200 under random faults
	@scripts/setup.sh build
	cargo run --locked --package baraza-sim -- $(ARGS)

bench: bench-build bench-web ## Baraza and the real daemon side by side (docs/benchmarks.md; parts: bench-files, -group, -device, -search, -crowd, -names, -web)
	"$(TARGET)/release/examples/search_bench" 1000000 100
	"$(TARGET)/release/examples/intake_bench" 100000 "$(TARGET)/bench-texts"
	$(CROWD)
	$(NAMES)
	benches/dht_cluster/compare.py --ours "$(TARGET)/release/examples/cluster"
	$(SIDE_BY_SIDE) $(ARGS)

CROWD = benches/crowd.py --foreign "$(TARGET)/release/jami-peer" \
	--fill "$(TARGET)/release/examples/crowd_data" --keep "$(TARGET)/bench-crowd"
NAMES = benches/names.py --server "$(TARGET)/release/baraza" \
	--bench "$(TARGET)/release/examples/names_bench" --keep "$(TARGET)/bench-names"
SIDE_BY_SIDE = benches/side_by_side.py --foreign "$(TARGET)/release/jami-peer"

bench-build:
	@scripts/setup.sh bench
	cargo build --locked --release --package baraza --bins
	cargo build --locked --release --package baraza-dht --example cluster
	cargo build --locked --release --package baraza-core --examples
	cargo build --locked --release --package baraza-store --example search_bench
	cargo build --locked --release --package baraza-names --example names_bench

# One measure of `make bench`.
bench-files: bench-build
	$(SIDE_BY_SIDE) --only files,large $(ARGS)

bench-group bench-device: bench-%: bench-build
	$(SIDE_BY_SIDE) --only $* $(ARGS)

# How large the app is, and how smoothly it scrolls through 100,000 messages.
bench-web: bench-build
	@scripts/setup.sh e2e
	@scripts/web.sh build
	BARAZA="$(TARGET)/release/baraza" node web/bench/run.mjs $(ARGS)

bench-search: bench-build
	"$(TARGET)/release/examples/search_bench" 1000000 100

bench-crowd: bench-build
	$(CROWD) $(ARGS)

bench-names: bench-build
	$(NAMES) $(ARGS)

man: ## the manual, a page for each command, in the target directory
	@scripts/setup.sh build
	cargo build --locked --package baraza --bin baraza
	"$(TARGET)/debug/baraza" man --out "$(TARGET)/man/man1"

PREFIX ?= /usr/local

install: ## the program with its manual and completions, to PREFIX=/usr/local (DESTDIR before it)
	@scripts/setup.sh build
	@scripts/web.sh build
	cargo build --locked --release --package baraza --bin baraza
	install -D -m 755 "$(TARGET)/release/baraza" "$(DESTDIR)$(PREFIX)/bin/baraza"
	"$(TARGET)/release/baraza" man --out "$(DESTDIR)$(PREFIX)/share/man/man1"
	install -d "$(DESTDIR)$(PREFIX)/share/bash-completion/completions" \
		"$(DESTDIR)$(PREFIX)/share/zsh/site-functions" \
		"$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d"
	"$(TARGET)/release/baraza" completions bash \
		>"$(DESTDIR)$(PREFIX)/share/bash-completion/completions/baraza"
	"$(TARGET)/release/baraza" completions zsh \
		>"$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_baraza"
	"$(TARGET)/release/baraza" completions fish \
		>"$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/baraza.fish"

fuzz: ## every fuzz target for SECONDS_EACH=60 seconds (ARGS="packet value": only these)
	@scripts/setup.sh fuzz
	fuzz/run.sh $(SECONDS_EACH) $(ARGS)

clean: ## remove what was built
	cargo clean
	rm -rf web/node_modules web/dist/app web/.stamp fuzz/target fuzz/corpus fuzz/artifacts testing/peers/.venv
