.DEFAULT_GOAL := help
.PHONY: help run test interop interop-quick drills drills-quick attack faults faults-quick fuzz fuzz-quick lint deny bench ci toolchain

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile | expand -t 14

run: toolchain ## start the server, optimised
	cargo run --release --locked

# The previous release is built first: the tests would build it while others of them run.
test: toolchain ## all tests, on SQLite and on a throwaway Postgres
	scripts/previous-release >/dev/null
	scripts/with-postgres cargo test --workspace --locked

interop: toolchain ## the libraries other stacks verify tokens and sign users in with, against a running server
	scripts/interop

interop-quick: toolchain ## the same in short
	scripts/interop --quick

drills: toolchain ## rotation under everything that may happen to it, with real processes: some 12 minutes
	scripts/drills rotation

drills-quick: toolchain ## the same in short
	scripts/drills rotation --quick

attack: toolchain ## floods and hostile clients against real processes
	scripts/drills attack

faults: toolchain ## kills, outages and full disks under load, with real processes
	scripts/drills faults

faults-quick: toolchain ## the same in short
	scripts/drills faults --quick

fuzz: toolchain ## requests made from /openapi.json, good, broken and hostile: 20 000 of them
	scripts/fuzz

fuzz-quick: toolchain ## the same in short
	scripts/fuzz --quick

lint: toolchain ## formatting and clippy
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy --locked --test drills -- -D warnings

deny: toolchain ## licences, banned crates and known vulnerabilities of the dependencies
	scripts/supply-chain

bench: toolchain ## benchmarks
	cargo bench --locked

ci: ## all that must pass before a change lands
	.ci/run

toolchain:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust, see https://rustup.rs" >&2; exit 1; }
	@command -v $(firstword $(CC)) >/dev/null || { echo "a C compiler is missing: install gcc or clang" >&2; exit 1; }
