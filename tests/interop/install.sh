#!/usr/bin/env bash
# Installs the real peers of the interop tests, at the versions of the lock files:
#   python/requirements.txt   -> $PEERS/python   (a venv: MCP SDK and servers, OpenAI's and Anthropic's SDKs, frameworks, uv)
#   chroma/requirements.txt   -> $PEERS/chroma   (a venv: the Chroma vector database)
#   api/requirements.txt      -> $PEERS/api      (a venv: Schemathesis, which tries what is described in OpenAPI)
#   schemas/requirements.txt  -> $PEERS/schemas  (the JSON Schema Test Suite, for a Rust test; in a venv for its pip)
#   node/package-lock.json    -> $PEERS/node     (the same in TypeScript, the Inspector, an OAuth issuer, a Node 24,
#                                                 and what drives a browser and looks at its pages)
#   histories/*/              -> $PEERS/histories (servers at three versions each, from npm and PyPI)
#   ../../registry/          -> $PEERS/curated  (caches for npx and uvx with the curated servers, of the day when they were curated)
#   Debian's chromium         -> the system      (the browser that opens the console)
#   agents/package-lock.json  -> $PEERS/agents   (Claude Code and Codex, which are programs of their own)
#   model/requirements.txt    -> $PEERS/model    (a venv: a real model and its server; only if named: `install.sh model`)
#   precision_servers.py      -> $PEERS/precision (twenty servers at five versions each; only if named: `install.sh precision`)
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
  need "Python 3.11 or newer" python3 -- python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'
  venv_current python && return
  rm -rf "$peers/cache" "$peers/config"
  venv_install python "the Python peers"
  warm_uvx
  venv_stamp python >"$peers/python.stamp"
}

# The package without its dependencies: its server needs none of them.
install_chroma() {
  venv_current chroma && return
  venv_install chroma Chroma --no-deps
  venv_stamp chroma >"$peers/chroma.stamp"
}

install_api() {
  venv_current api && return
  venv_install api Schemathesis
  venv_stamp api >"$peers/api.stamp"
}

# The suite then lies in json/tests/. Of the package around it nothing is built or run.
install_schemas() {
  venv_current schemas && return
  venv_new schemas "the JSON Schema Test Suite"
  PYTHONPATH="$here/schemas" venv_pip schemas download --no-deps --no-build-isolation --dest "$peers/schemas"
  tar -xzf "$peers/schemas"/jsonschema-*.tar.gz -C "$peers/schemas" --strip-components=1
  venv_stamp schemas >"$peers/schemas.stamp"
}

install_model() {
  venv_current model && return
  venv_install model "the real model"
  venv_stamp model >"$peers/model.stamp"
}

# What is there and as the list wants it is left alone: there are a hundred of them.
install_precision() {
  local stamp
  stamp=$(stamp_of "$here/precision_servers.py" "$here/precision_install.py")
  current "$peers/precision" "$stamp" && return
  need "npm" nodejs npm -- npm --version
  rm -f "$peers/precision.stamp"
  PORTOLAN_PEERS_DIR="$peers" PYTHONDONTWRITEBYTECODE=1 python3 "$here/precision_install.py"
  echo "$stamp" >"$peers/precision.stamp"
}

# The packages of a folder's requirements, in a venv in the peers' folder of the same name.
venv_install() { # venv_install FOLDER WHAT PIP-OPTION...
  venv_new "$1" "$2"
  venv_pip "$1" install "${@:3}"
}

venv_new() { # venv_new FOLDER WHAT
  need "Python's venv" python3-venv -- python3 -c 'import ensurepip, venv'
  echo "interop: installing $2"
  rm -rf "${peers:?}/$1" "$peers/$1.stamp"
  python3 -m venv "$peers/$1"
}

venv_pip() { # venv_pip FOLDER COMMAND PIP-OPTION...
  "$peers/$1/bin/pip" "$2" --quiet --disable-pip-version-check --require-hashes "${@:3}" -r "$here/$1/requirements.txt"
}

venv_stamp() { stamp_of "$here/$1/requirements.txt"; }
venv_current() { current "$peers/$1" "$(venv_stamp "$1")" && "$peers/$1/bin/python" -c ''; }

# So that `uvx mcp-server-time` starts from its cache, with no network, as it does for someone who used it before.
warm_uvx() {
  mkdir -p "$peers/config/uv"
  local constraints="$peers/config/constraints.txt"
  "$peers/python/bin/pip" freeze >"$constraints"
  XDG_CACHE_HOME="$peers/cache" XDG_CONFIG_HOME="$peers/config" UV_NO_PROGRESS=1 UV_PYTHON_DOWNLOADS=never \
    "$peers/python/bin/uvx" --quiet --constraints "$constraints" mcp-server-time --help >/dev/null
  printf 'offline = true\npython-downloads = "never"\n' >"$peers/config/uv/uv.toml"
}

install_node() {
  npm_current node && return
  npm_install node "the Node peers"
  need_node_22
  npm_stamp node >"$peers/node.stamp"
}

install_agents() {
  npm_current agents && return
  npm_install agents "the agents"
  npm_stamp agents >"$peers/agents.stamp"
}

# Each version in a folder of its own, as it is for whoever has it: with one version's packages beside another's, some say less.
install_histories() {
  local stamp folder
  stamp=$(stamp_of "$here"/histories/*/package*.json "$here"/histories/*/requirements.txt)
  current "$peers/histories" "$stamp" && "$peers/histories/python/bin/python" -c '' && return
  need "Git" git -- git --version
  need "Python's venv" python3-venv -- python3 -c 'import ensurepip, venv'
  echo "interop: installing versions of servers"
  rm -rf "$peers/histories" "$peers/histories.stamp"
  python3 -m venv "$peers/histories/python"
  for folder in "$here"/histories/*/; do
    folder=histories/$(basename "$folder")
    if [ -e "$here/$folder/package.json" ]; then
      npm_install "$folder" "$folder"
    else
      echo "interop: installing $folder"
      "$peers/histories/python/bin/pip" install --quiet --disable-pip-version-check --require-hashes \
        --target "$peers/$folder" -r "$here/$folder/requirements.txt"
    fi
  done
  echo "$stamp" >"$peers/histories.stamp"
}

# What npx and uvx fetch for each curated server, with what these depend on as it was on that day; from then on without a network.
install_curated() {
  local day=2026-11-22 place=$peers/curated stamp
  stamp=$(find "$here/../../registry" -name '*.json' -exec sha256sum {} + | cut -d' ' -f1 | sort | cat - "$here/install.sh" | sha256sum | cut -d' ' -f1)
  current "$place" "$stamp" && return
  need "npm" nodejs npm -- npm --version
  if [ ! -x "$peers/python/bin/uvx" ]; then
    echo "interop: the Python peers come first: install.sh python" >&2
    return 1
  fi
  echo "interop: installing curated servers"
  rm -rf "$place" "$place.stamp"
  mkdir -p "$place/config/uv"
  printf 'cache=%s\nbefore=%s\n' "$place/npm" "$day" >"$place/npmrc"
  printf 'exclude-newer = "%s"\npython-downloads = "never"\n' "$day" >"$place/config/uv/uv.toml"
  PYTHONDONTWRITEBYTECODE=1 python3 "$here/curated_install.py" | while read -r runner package version; do
    if [ "$runner" = npx ]; then
      npm_config_userconfig="$place/npmrc" npm view "$package@$version" version dist.integrity --json </dev/null >/dev/null
      npm_config_userconfig="$place/npmrc" npx -y --loglevel=error --package "$package@$version" -- true </dev/null
    else
      export XDG_CACHE_HOME="$place/cache" XDG_CONFIG_HOME="$place/config" UV_NO_PROGRESS=1
      echo "$package==$version" | "$peers/python/bin/uv" pip compile --no-deps --generate-hashes --quiet - >/dev/null
      "$peers/python/bin/uvx" --quiet --from "$package==$version" python -c '' </dev/null
    fi
  done
  printf 'offline=true\n' >>"$place/npmrc"
  printf 'offline = true\n' >>"$place/config/uv/uv.toml"
  echo "$stamp" >"$place.stamp"
}

# The cases ask for it by its stamp, as for all others.
install_browser() {
  rm -f "$peers/browser.stamp"
  need "Chromium" chromium -- chromium --version
  chromium --version >"$peers/browser.stamp" 2>/dev/null
}

# The packages of a folder's lock, in the peers' folder of the same name.
npm_install() { # npm_install FOLDER WHAT
  need "npm" nodejs npm -- npm --version
  echo "interop: installing $2"
  rm -rf "${peers:?}/$1" "$peers/$1.stamp"
  mkdir -p "$peers/$1"
  cp "$here/$1/package.json" "$here/$1/package-lock.json" "$peers/$1/"
  npm ci --prefix "$peers/$1" --ignore-scripts --no-audit --no-fund --loglevel=error
}

npm_stamp() { stamp_of "$here/$1/package.json" "$here/$1/package-lock.json"; }
npm_current() { current "$peers/$1" "$(npm_stamp "$1")"; }

# The lock brings a Node for Linux; elsewhere the machine's own must do.
need_node_22() {
  PATH="$peers/node/node_modules/.bin:$PATH" node -e 'process.exit(parseInt(process.versions.node) < 22 ? 1 : 0)' || {
    echo "interop: the Node peers need Node 22 or newer" >&2
    exit 1
  }
}

if [ -n "${PORTOLAN_PEERS_ONE:-}" ]; then
  "install_$PORTOLAN_PEERS_ONE"
  exit
fi
# Each kind in a process of its own, so that one that cannot be had takes no other with it. Its cases are skipped, unless all
# peers are required.
kinds=("$@")
if [ ${#kinds[@]} = 0 ]; then kinds=(python node agents chroma api schemas histories curated browser); fi
absent=()
for kind in "${kinds[@]}"; do
  PORTOLAN_PEERS_ONE=$kind bash "${BASH_SOURCE[0]}" || absent+=("$kind")
done
if [ ${#absent[@]} != 0 ]; then
  echo "interop: COULD NOT INSTALL: ${absent[*]}; the cases that need them are skipped" >&2
  if [ "${PORTOLAN_PEERS:-}" = require ]; then exit 1; fi
fi
echo "interop: peers in $peers"
