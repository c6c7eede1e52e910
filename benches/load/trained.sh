#!/usr/bin/env bash
# Builds the binary that is published: the `dist` profile, twice. The first build counts what it does under load
# (`train.py`); the second is laid out by these counts, what is often done together and fast, the rest out of its way.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
host=$(rustc -vV | sed -n 's/^host: //p')
counts=$target/trained/counts
built=$target/trained/$host/dist/portolan
fail() { echo "trained.sh: $*" >&2; exit 1; }

command -v python3 >/dev/null || fail "python3 is needed, to put the first build under load"
[ "$(nproc)" -ge 2 ] || fail "two processors are needed: one for the gateway, one for its load"

# What merges the counts comes with the toolchain's `llvm-tools`, or with a Debian package of about its age.
merger() {
    compgen -G "$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata" && return
    for version in {30..19}; do command -v "llvm-profdata-$version" && return; done
}
if [ -z "$(merger)" ]; then
    timeout 120 rustup component add llvm-tools >&2 || echo "the toolchain's llvm-tools cannot be had; trying Debian's llvm-19" >&2
fi
if [ -z "$(merger)" ]; then
    root=(); [ "$(id -u)" = 0 ] || root=(sudo -n)
    { "${root[@]}" apt-get update -qq && "${root[@]}" apt-get install -y -qq --no-install-recommends llvm-19; } >&2 || true
fi
merge=$(merger || true)
[ -n "$merge" ] || fail "llvm-profdata is missing: run \`rustup component add llvm-tools\`, or install the package llvm-19"

# As one flag each, whatever blanks a path has; with those that are set already.
flags() { printf '%s' "${RUSTFLAGS:+$RUSTFLAGS }" | tr ' ' '\037'; printf '%s' "$1"; }
build() { CARGO_ENCODED_RUSTFLAGS=$(flags "$1") cargo build --locked --profile dist --target "$host" --target-dir "$target/trained"; }

cargo build --locked --release --manifest-path benches/load/Cargo.toml --target-dir "$target/loadkit"
rm -rf "$counts"
echo "the first of two builds, which counts" >&2
build "-Cprofile-generate=$counts"
echo "a minute of load" >&2
LOADKIT=$target/loadkit/release/loadkit PORTOLAN_BIN=$built python3 benches/load/train.py
"$merge" merge -o "$counts/merged" "$counts"/*.profraw
echo "the second build, laid out by the counts" >&2
build "-Cprofile-use=$counts/merged"
cp "$built" "$target/trained/portolan"
echo "built $target/trained/portolan" >&2
