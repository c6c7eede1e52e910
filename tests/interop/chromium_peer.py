"""A real browser: Chromium without a window, driven by node/chromium.mjs."""

import json
import os
import shutil
import subprocess
import tempfile

import peers


class Chromium:
    """Runs while it is entered. Called with a step's name, it takes that step; one that fails fails the case."""

    def __enter__(self):
        about = {"chromium": chromium(), "sandbox": os.geteuid() != 0}
        self.root = tempfile.TemporaryDirectory(prefix="portolan-browser-")
        with open(f"{self.root.name}/log", "w") as log:
            self.process = subprocess.Popen(
                [*peers.node("chromium"), json.dumps(about)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=self.root.name,
                env=peers.environment(self.root.name),
            )
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.root.cleanup()

    def __call__(self, do, **more):
        self.process.stdin.write(json.dumps({"do": do, **more}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            with open(f"{self.root.name}/log") as log:
                raise AssertionError(f"the browser is gone\n{log.read()[-2000:]}")
        said = json.loads(line)
        if "failed" in said:
            raise AssertionError(said["failed"])
        return said["done"]


def chromium():
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        raise AssertionError("no Chromium is installed: run tests/interop/install.sh")
    return found
