#!/usr/bin/env python3
"""The curated manifests of `registry/`. As a program it prints the package of each, one a line: runner, name, version."""

import json
from pathlib import Path

RUNNERS = {"npm": "npx", "pypi": "uvx"}
FILES = sorted((Path(__file__).resolve().parents[2] / "registry").glob("*/*/*.json"))
MANIFESTS = [json.loads(file.read_text()) for file in FILES]


def main():
    for manifest in MANIFESTS:
        package = manifest["server"]["packages"][0]
        print(RUNNERS[package["registryType"]], package["identifier"], package["version"])


if __name__ == "__main__":
    main()
