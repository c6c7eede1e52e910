#!/usr/bin/env python3
"""Counts what `tools/list` allocates once the list was asked for before: it must not grow with the number of tools beyond the answer.

Usage: allocations.py [--tools 10,100,1000]

The gateway runs under gdb, which writes down the size of each allocation, so PORTOLAN_BIN must name a build with symbols (`--release`).
What is printed is of the request with the fewest allocations of some: whatever else happens in the gateway only ever adds to them.
"""
import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time

from catalog import HERE, Changes, Gateway

# The functions that all allocations go through, and the register that holds the size.
DOORS = {"__rust_alloc": "$rdi", "__rust_alloc_zeroed": "$rdi", "__rust_realloc": "$rcx"}
REQUESTS = 12


class Watch:
    """Sizes of allocations, as gdb writes them down."""

    def __init__(self, pid, folder):
        # Not beside the configuration: the gateway hears of each change there.
        os.mkdir(os.path.join(folder, "watched"))
        self.path, binary = os.path.join(folder, "watched/sizes"), os.path.realpath(f"/proc/{pid}/exe")
        symbols = subprocess.run(["nm", binary], capture_output=True, text=True, check=True).stdout
        with open(f"/proc/{pid}/maps") as maps:
            base = int(next(line for line in maps if binary in line).split("-")[0], 16)
        command = ["stdbuf", "-oL", "gdb", "-q", "-batch", "-nx", "-ex", "set pagination off"]
        for door, register in DOORS.items():
            found = re.search(rf"^(\w+) \w \S*rustc\d+_{door}$", symbols, re.M)
            if found:
                command += ["-ex", f'dprintf *{base + int(found[1], 16):#x},"size %lu\\n",{register}']
        self.file = open(self.path, "wb")
        self.gdb = subprocess.Popen([*command, "-ex", "continue", "-p", str(pid)], stdout=self.file, stderr=subprocess.DEVNULL)
        time.sleep(5)

    def sizes(self):
        with open(self.path) as file:
            return [int(size) for size in re.findall(r"^size (\d+)\n", file.read(), re.M)]


async def measure(tools, folder):
    servers = subprocess.Popen(
        [sys.executable, os.path.join(HERE, "catalog.py"), "--serve", "--tools", str(tools)], stdout=subprocess.PIPE, text=True,
    )
    try:
        changes = Changes(os.path.join(folder, "portolan.yaml"), int(servers.stdout.readline()), 1)
        changes.write()
        gateway, found = Gateway(folder, changes.path), 0
        await gateway.start()
        while found < tools:
            await asyncio.sleep(0.1)
            found, _ = await gateway.listed()
        await gateway.settle()
        watch, each = Watch(gateway.process.pid, folder), []
        for _ in range(REQUESTS):
            before = len(watch.sizes())
            _, text = await gateway.exchange(*gateway.request("/mcp", "tools/list", {}))
            time.sleep(0.3)
            each.append(watch.sizes()[before:])
        # Whoever is watched does not end in peace.
        gateway.process.kill()
        gateway.process.wait()
        watch.gdb.wait()
    finally:
        servers.terminate()
        servers.wait()
    fewest = min(each, key=lambda sizes: (len(sizes), sum(sizes)))
    large = sorted((size for size in fewest if size > 4096), reverse=True)
    return len(text), len(fewest), sum(fewest), large


def main():
    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wanted.add_argument("--tools", default="10,100,1000")
    print("| tools | bytes of the answer | allocations | bytes of them | those over 4 KiB |\n|---|---|---|---|---|")
    rest = []
    for tools in map(int, wanted.parse_args().tools.split(",")):
        with tempfile.TemporaryDirectory(prefix="portolan-allocations-") as folder:
            answer, count, size, large = asyncio.run(measure(tools, folder))
        print(f"| {tools:,} | {answer:,} | {count} | {size:,} | {', '.join(f'{size:,}' for size in large)} |", flush=True)
        rest.append((count, size - answer))
    # As many allocations, and as many bytes beside the answer, however many tools there are.
    grown = max(size for _, size in rest) - min(size for _, size in rest)
    return 0 if max(count for count, _ in rest) - min(count for count, _ in rest) <= 2 and grown < 4096 else 1


if __name__ == "__main__":
    sys.exit(main())
