"""A real browser: Chromium without a window, driven by node/chromium.mjs."""

import json
import os
import shutil
import subprocess

import peers
from program import Program


class Chromium(Program):
    """Runs while it is entered. Called with a step's name, it takes that step; one that fails fails the case."""

    def __enter__(self):
        about = {"chromium": chromium(), "sandbox": os.geteuid() != 0}
        self.start("browser", [*peers.node("chromium"), json.dumps(about)], stdin=subprocess.PIPE)
        return self

    def tell_to_end(self):
        self.process.stdin.close()

    def __call__(self, do, **more):
        self.process.stdin.write(json.dumps({"do": do, **more}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise self.failed("is gone")
        said = json.loads(line)
        if "failed" in said:
            raise AssertionError(said["failed"])
        return said["done"]


def chromium():
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        raise AssertionError("no Chromium is installed: run tests/interop/install.sh")
    return found
