# One entry for every chore. On a fresh Debian 12 with Rust, gcc and make, `make demo` and `make test` need nothing else.

# The build cache lives outside the clone, so that a fresh clone does not build everything anew.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/edgeward/target
CARGO ?= cargo
EDGEWARD = $(CARGO_TARGET_DIR)/release/edgeward
ONCE ?=
CASES ?= 20000
DEMO_FLAGS = $(if $(ONCE),--once)

.PHONY: help demo build test fuzz lint bench dist setup setup-tests clean

help:
	@echo 'make demo           run the factory: cloud, three edge nodes, devices, rules, a cut link (ONCE=1: end after it)'
	@echo 'make test           run all tests (ONLY="-p edgeward-sql": those alone)'
	@echo 'make fuzz           run the property tests over many new inputs (CASES=20000, ONLY="-p edgeward-sql")'
	@echo 'make bench          print speed and memory beside the peers (ONLY=stream: those of that name alone)'
	@echo 'make lint           formatting, lints, dependency policy and directions'
	@echo 'make dist           build the stripped release binary and print its size'

setup:
	@tools/setup.sh run

setup-tests:
	@tools/setup.sh test

build:
	$(CARGO) build --release --locked -p edgeward

demo: setup build
	$(EDGEWARD) demo $(DEMO_FLAGS)

# The scenarios drive the real program, so it is built first.
# Property tests draw the same inputs every time, so that a failure belongs to a change; `make fuzz` draws new ones.
test: export PROPTEST_RNG_SEED ?= 1
test: setup-tests
	$(CARGO) build --locked --workspace --bins
	$(CARGO) test --locked $(or $(ONLY),--workspace --no-fail-fast)

# Every property of the parsers, codecs and models, over many new inputs; a failure prints the input that shows it.
fuzz:
	PROPTEST_CASES=$(CASES) $(CARGO) test --locked $(or $(ONLY),--workspace --lib --no-fail-fast) $(FILTER)

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) test --locked -p xtask
	@command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny
	$(CARGO) deny check bans licenses sources
	@if $(CARGO) deny fetch db >/dev/null 2>&1; then $(CARGO) deny check advisories; \
	else echo 'left out: advisories, because their database cannot be fetched here'; fi

# One build, so that program and bench share their libraries.
bench: setup-tests
	$(CARGO) build --release --locked -p edgeward -p edgeward-bench
	$(CARGO_TARGET_DIR)/release/edgeward-bench $(ONLY)

dist:
	$(CARGO) build --profile dist --locked -p edgeward
	@mkdir -p dist && cp $(CARGO_TARGET_DIR)/dist/edgeward dist/edgeward
	@ls -l dist/edgeward | awk '{printf "dist/edgeward: %.1f MB\n", $$5 / 1000000}'

clean:
	$(CARGO) clean
