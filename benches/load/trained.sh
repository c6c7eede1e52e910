#!/usr/bin/env bash
# Builds the binary that is published: the `dist` profile, twice. The first build counts what it does under load
# (`train.py`); the second is laid out by these counts, what is often done together and fast, the rest out of its way.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
host=$(rustc -vV | sed -n 's/^host: //p')
counts=$target/trained/counts
built=$target/trained/$host/dist/portolan

# What merges the counts comes with the toolchain's `llvm-tools`, or with a Debian package of about the same age.
merger() { compgen -G "$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata" || compgen -c llvm-profdata- | sort -Vr | head -1; }
if [ -z "$(merger)" ]; then apt-get update -qq && apt-get install -y -qq --no-install-recommends llvm-19; fi

build() { RUSTFLAGS=$1 cargo build --locked --profile dist --target "$host" --target-dir "$target/trained"; }

cargo build --locked --release --manifest-path benches/load/Cargo.toml --target-dir "$target/loadkit"
rm -rf "$counts"
echo "the first of two builds, which counts" >&2
build "-Cprofile-generate=$counts"
echo "a minute of load" >&2
LOADKIT=$target/loadkit/release/loadkit PORTOLAN_BIN=$built python3 benches/load/train.py
"$(merger)" merge -o "$counts/merged" "$counts"/*.profraw
echo "the second build, laid out by the counts" >&2
build "-Cprofile-use=$counts/merged"
cp "$built" "$target/trained/portolan"
echo "built $target/trained/portolan" >&2
