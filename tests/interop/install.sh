#!/usr/bin/env bash
# Installs the real peers of the interop tests, at the versions of the lock files:
#   python/requirements.txt   -> $PEERS/python   (a venv: the Python MCP SDK, servers, openai, uv)
#   chroma/requirements.txt   -> $PEERS/chroma   (a venv: the Chroma vector database)
#   node/package-lock.json    -> $PEERS/node     (the TypeScript SDK, servers, Inspector, openai, a Node 24)
#   a warm cache for uvx      -> $PEERS/cache, $PEERS/config
# Where nothing changed since the last run it does nothing. PORTOLAN_PEERS_DIR names another place.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
peers=${PORTOLAN_PEERS_DIR:-$HOME/.cache/portolan/peers}
mkdir -p "$peers"

# Debian's packages, for whoever may install them; anyone else is told what is missing.
need() { # need WHAT-IT-IS-FOR PACKAGE... -- TEST-COMMAND...
  local purpose=$1 packages=()
  shift
  while [ "$1" != -- ]; do packages+=("$1"); shift; done
  shift
  "$@" >/dev/null 2>&1 && return
  local sudo=()
  if [ "$(id -u)" != 0 ]; then sudo=(sudo -n); fi
  if command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then
    echo "interop: installing ${packages[*]} with apt-get"
    "${sudo[@]}" apt-get update -q >/dev/null
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${packages[@]}" >/dev/null
  else
    echo "interop: $purpose is missing: install ${packages[*]}" >&2
    exit 1
  fi
}

# Changes when a lock file or this script does.
stamp_of() { cat "$here/install.sh" "$@" | sha256sum | cut -d' ' -f1; }
current() { [ "$(cat "$1.stamp" 2>/dev/null)" = "$2" ]; }

install_python() {
  local stamp
  stamp=$(stamp_of "$here/python/requirements.txt")
  current "$peers/python" "$stamp" && "$peers/python/bin/python" -c '' && return
  need "Python 3.11 or newer" python3 -- python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'
  need "Python's venv" python3-venv -- python3 -c 'import ensurepip, venv'
  echo "interop: installing the Python peers"
  rm -rf "$peers/python" "$peers/python.stamp" "$peers/cache" "$peers/config"
  python3 -m venv "$peers/python"
  "$peers/python/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "$here/python/requirements.txt"
  warm_uvx
  echo "$stamp" >"$peers/python.stamp"
}

# So that `uvx mcp-server-time` starts from its cache, with no network, as it does for someone who used it before.
warm_uvx() {
  mkdir -p "$peers/config/uv"
  local constraints="$peers/config/constraints.txt"
  "$peers/python/bin/pip" freeze >"$constraints"
  XDG_CACHE_HOME="$peers/cache" XDG_CONFIG_HOME="$peers/config" UV_NO_PROGRESS=1 UV_PYTHON_DOWNLOADS=never \
    "$peers/python/bin/uvx" --quiet --constraints "$constraints" mcp-server-time --help >/dev/null
  printf 'offline = true\npython-downloads = "never"\n' >"$peers/config/uv/uv.toml"
}

# The package without its dependencies: its server needs none of them.
install_chroma() {
  local stamp
  stamp=$(sha256sum <"$here/chroma/requirements.txt" | cut -d' ' -f1)
  current "$peers/chroma" "$stamp" && "$peers/chroma/bin/python" -c '' && return
  need "Python's venv" python3-venv -- python3 -c 'import ensurepip, venv'
  echo "interop: installing Chroma"
  rm -rf "$peers/chroma" "$peers/chroma.stamp"
  python3 -m venv "$peers/chroma"
  "$peers/chroma/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$here/chroma/requirements.txt"
  echo "$stamp" >"$peers/chroma.stamp"
}

install_node() {
  local stamp
  stamp=$(stamp_of "$here/node/package.json" "$here/node/package-lock.json")
  current "$peers/node" "$stamp" && return
  need "npm" nodejs npm -- npm --version
  echo "interop: installing the Node peers"
  rm -rf "$peers/node" "$peers/node.stamp"
  mkdir -p "$peers/node"
  cp "$here/node/package.json" "$here/node/package-lock.json" "$peers/node/"
  npm ci --prefix "$peers/node" --ignore-scripts --no-audit --no-fund --loglevel=error
  need_node_22
  echo "$stamp" >"$peers/node.stamp"
}

# The lock brings a Node for Linux; elsewhere the machine's own must do.
need_node_22() {
  PATH="$peers/node/node_modules/.bin:$PATH" node -e 'process.exit(parseInt(process.versions.node) < 22 ? 1 : 0)' || {
    echo "interop: the Node peers need Node 22 or newer" >&2
    exit 1
  }
}

install_python
install_node
install_chroma
echo "interop: peers ready in $peers"
