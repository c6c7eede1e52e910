"""A program of others beside the gateway, in a folder of its own that goes with it."""

import subprocess
import tempfile

import peers


class Program:
    """Runs while it is entered. What it writes to standard error is kept for whoever wants to know what went wrong."""

    def start(self, name, command, stdin=subprocess.DEVNULL, **variables):
        self.root = tempfile.TemporaryDirectory(prefix=f"portolan-{name}-")
        self.name = name
        with open(f"{self.root.name}/log", "w") as log:
            self.process = subprocess.Popen(
                command,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=self.root.name,
                env=peers.environment(self.root.name, **variables),
            )

    def failed(self, what):
        """The failure that it `what`, with the last that it wrote."""
        with open(f"{self.root.name}/log") as log:
            return AssertionError(f"the {self.name} {what}\n{log.read()[-2000:]}")

    def tell_to_end(self):
        """How it is asked to end; it need not answer."""
        self.process.kill()

    def __exit__(self, *_):
        self.tell_to_end()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.root.cleanup()
