#!/usr/bin/env python3
"""Installs the servers of `precision_servers.py`, each version in a folder of its own. What is there already is left as it is.

    python3 precision_install.py [SERVER…]

`install.sh precision` calls it.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import peers
from precision_servers import NPM, SERVERS

FOLDER = peers.ROOT / "precision"
UV = peers.ROOT / "python/bin/uv"


def folder(server, version):
    return FOLDER / f"{server.name}-{version}"


def command(server, version):
    """What starts a version of a server, without its arguments."""
    place = folder(server, version)
    if server.kind != NPM:
        return [place / "bin" / (server.program or server.package)]
    package = place / "node_modules" / server.package
    programs = json.loads((package / "package.json").read_text())["bin"]
    if isinstance(programs, dict):
        programs = programs.get(server.program) or next(iter(programs.values()))
    return ["node", package / programs]


def install(server, version):
    """Installs one version, unless it is there as the list wants it."""
    place, wanted = folder(server, version), repr((server.kind, server.package, version, server.versions[version]))
    stamp = hashlib.sha256(wanted.encode()).hexdigest()
    mark = place / "installed"
    if mark.exists() and mark.read_text() == stamp:
        return
    print(f"interop: installing {server.package} {version}", flush=True)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    (from_npm if server.kind == NPM else from_pypi)(server, version, place)
    mark.write_text(stamp)


def from_npm(server, version, place):
    packages = {server.package: version, **server.versions[version]}
    (place / "package.json").write_text(json.dumps({"private": True, "dependencies": packages}))
    run("npm", "install", "--prefix", place, "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error", "--silent")


def from_pypi(server, version, place):
    run(UV, "venv", "--quiet", "--clear", "--python", sys.executable, place)
    day = server.versions[version]
    run(UV, "pip", "install", "--quiet", "--python", place / "bin/python", "--exclude-newer", day, f"{server.package}=={version}")


def run(*command):
    # Of the same file system as the folders, so that what several versions share is there once.
    env = {**os.environ, "UV_NO_CONFIG": "1", "UV_CACHE_DIR": str(FOLDER / "cache"), "UV_PYTHON_DOWNLOADS": "never"}
    subprocess.run([str(part) for part in command], check=True, env=env, stdin=subprocess.DEVNULL)


def main(names):
    if not UV.exists():
        print("interop: the Python peers come first: install.sh python", file=sys.stderr)
        return 1
    wanted = [(server, version) for server in SERVERS if not names or server.name in names for version in server.versions]
    # Most of the time goes by in waiting for the registries.
    with ThreadPoolExecutor(4) as pool:
        for _ in pool.map(lambda one: install(*one), wanted):
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
