"""A gateway under test: the real binary, on loopback, with an empty home and a data directory of its own."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import peers


def binary():
    """The program under test: PORTOLAN_BIN, or what `cargo build` makes."""
    target = os.environ.get("CARGO_TARGET_DIR") or Path(__file__).resolve().parents[2] / "target"
    return Path(os.environ.get("PORTOLAN_BIN") or Path(target) / "debug/portolan").resolve()


class Gateway:
    """Starts on entry; on exit it is stopped and its directories are removed."""

    def __init__(self, config=None):
        # The home marks every process that the gateway starts, however deep: they inherit HOME.
        self.root = Path(tempfile.mkdtemp(prefix="portolan-interop-")).resolve()
        self.home = self.root / "home"
        self.data = self.root / "data"
        self.home.mkdir()
        self.config = config
        self.file = self.root / "portolan.yaml"
        self.process = None
        self.url = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_):
        self.remove()

    def start(self):
        """`portolan serve`, and the address it tells on standard output."""
        command = [str(binary()), "serve", "--listen", "127.0.0.1:0", "--data-dir", str(self.data)]
        if self.config is not None:
            self.file.write_text(self.config)
            command += ["--config", str(self.file)]
        with open(self.root / "gateway.log", "a") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=self.home,
                env=peers.environment(self.home),
            )
        told, found = threading.Event(), []

        def listen(stdout):
            for line in stdout:
                if not found and (address := re.search(r"http://127\.0\.0\.1:\d+", line)):
                    found.append(address[0])
                    told.set()
            told.set()

        threading.Thread(target=listen, args=[self.process.stdout], daemon=True).start()
        told.wait(30)
        if not found:
            raise AssertionError(f"the gateway told no address within 30 s\n{self.log()}")
        self.url = found[0]

    def configure(self, config):
        """Puts another configuration in the place of the one that it was started with, and waits until it is in use."""
        if config == self.config:
            return
        before = self.readings()
        # In one move, as editors do: a file that is half written would be refused.
        new = self.root / "portolan.yaml.new"
        new.write_text(config)
        new.replace(self.file)
        self.config = config
        deadline = time.monotonic() + 30
        while self.readings() == before:
            if time.monotonic() > deadline:
                raise AssertionError(f"the gateway did not read its configuration again within 30 s\n{self.log()}")
            time.sleep(0.05)
        if self.readings()[0] == before[0]:
            raise AssertionError(f"the gateway refuses its configuration\n{self.log()}")

    def readings(self):
        """How often the configuration was read again and taken, and how often it was refused."""
        log = (self.root / "gateway.log").read_text(errors="replace")
        return log.count(" was read again and is in use"), log.count("the changed configuration is refused")

    def cli(self, *arguments):
        """Runs a command of the command line against this gateway."""
        return peers.run([binary(), *arguments], self.home, **self.addressed())

    def addressed(self):
        """How any command finds this gateway."""
        return {"PORTOLAN_URL": self.url, "PORTOLAN_DATA_DIR": str(self.data)}

    def servers(self):
        """`portolan server list --json`, as {name: state}."""
        listed = json.loads(self.cli("server", "list", "--json"))
        rows = listed if isinstance(listed, list) else listed["servers"]
        return {row["name"]: row["state"] for row in rows}

    def add_server(self, name, *command):
        """`portolan server add NAME -- COMMAND…`, until the list says that it is ready."""
        self.cli("server", "add", name, "--", *command)
        self.until_ready(name)

    def until_ready(self, name):
        state, deadline = None, time.monotonic() + 30
        while time.monotonic() < deadline:
            state = self.servers().get(name)
            if state == "ready":
                return
            time.sleep(0.2)
        raise AssertionError(f"server `{name}` is {state!r} after 30 s, not ready")

    def children(self):
        """The living processes that this gateway started, at any depth, as {pid: command line}."""
        mark = f"HOME={self.home}".encode()
        found = {}
        for proc in Path("/proc").iterdir():
            if not proc.name.isdigit() or int(proc.name) == self.process.pid:
                continue
            try:
                if mark in (proc / "environ").read_bytes().split(b"\0"):
                    found[int(proc.name)] = (proc / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            except OSError:
                continue  # it ended while we looked, or is not ours
        return found

    def children_after(self, seconds):
        """What is still alive after at most so many seconds."""
        deadline = time.monotonic() + seconds
        while (left := self.children()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left

    def end(self, how, seconds=15):
        """Sends a signal and gives the exit code."""
        self.process.send_signal(how)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the gateway still runs {seconds} s after {how.name}\n{self.log()}") from None

    def log(self):
        """The end of what the gateway wrote to standard error."""
        return (self.root / "gateway.log").read_text()[-4000:]

    def remove(self):
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            for pid in self.children_after(5):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        shutil.rmtree(self.root, ignore_errors=True)
