#!/usr/bin/env python3
"""Cases: what the conformance suite of MCP asks of a server holds for one behind the gateway as it does for the server itself.

    python3 tests/interop/suite.py [--through legacy|modern] [--aggregate] --revision REVISION [SCENARIO…]

prints what passes and what fails, and why: of our fixture server directly, or of the gateway in front of one of the named era, at
`/mcp/{server}` or at `/mcp`. `expected/` tells what cannot pass between two eras, in the suite's own format, with the reasons.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import peers
from cases import Checks, case
from fixture_peer import Fixture
from gateway import Gateway, binary
from journeys import LEGACY, MODERN
from renaming import Renaming

REVISIONS = {"legacy": LEGACY, "modern": MODERN}
EXPECTED = peers.HERE / "expected"
# Short, so that no public name of a tool is too long.
SERVER = "fix"
# One scenario may wait this long, in milliseconds; all of a revision together, this long in seconds.
SCENARIO_MS = 20_000
TIMEOUT = 900
# A scenario that left no results.
NO_RESULT = "did-not-end"


class Outcome(NamedTuple):
    passed: int
    failed: int
    # The checks that failed, and what each says.
    checks: list
    why: dict


@case("node")
def the_conformance_suite_finds_nothing_wrong_with_the_fixture(gateway):
    with Checks() as checks:
        for revision in (LEGACY, MODERN):
            for scenario, outcome in tried(revision).items():
                checks.equal(f"{scenario} in {revision}", list(outcome.why.items()), [])


@case("node")
def the_conformance_suite_finds_the_same_through_the_gateway_as_directly(gateway):
    all_as_directly(aggregate=False)


@case("node")
def the_conformance_suite_finds_the_same_through_the_aggregate_as_directly(gateway):
    all_as_directly(aggregate=True)


@case("node")
def the_conformance_suite_finds_a_legacy_server_modern_behind_the_gateway(gateway):
    all_as_expected(MODERN, "legacy")


@case("node")
def the_conformance_suite_finds_a_modern_server_legacy_behind_the_gateway(gateway):
    all_as_expected(LEGACY, "modern")


def all_as_directly(aggregate):
    """Both revisions at once, each with a server of its own era: no check may fail that does not fail without the gateway."""

    def both(era):
        revision = REVISIONS[era]
        return revision, tried(revision), tried(revision, era, aggregate)

    with Checks() as checks, ThreadPoolExecutor(2) as pool:
        for revision, directly, through in pool.map(both, REVISIONS):
            for scenario, outcome in through.items():
                more = [(check, why) for check, why in outcome.why.items() if check not in directly[scenario].checks]
                checks.equal(f"{scenario} in {revision}", more, [])


def all_as_expected(revision, era):
    """A revision of one era, with a server of the other, at both paths: what fails is what is expected, and no less."""
    with Checks() as checks, ThreadPoolExecutor(2) as pool:
        runs = pool.map(lambda aggregate: tried(revision, era, aggregate), (False, True))
        for path, outcomes in zip(("/mcp/{server}", "/mcp"), runs):
            unexpected, stale = against(outcomes, expected(revision, era))
            checks.equal(f"fails at {path}", unexpected, [])
            checks.equal(f"does not fail any more at {path}", stale, [])


def tried(revision, era=None, aggregate=False, scenarios=()):
    """All scenarios of a revision, or some: of the fixture itself, or of a gateway in front of one of that era."""
    with target(era, aggregate) as url:
        return run(url, revision, scenarios)


@contextmanager
def target(era, aggregate):
    """The address where the suite is to look."""
    with ExitStack() as stack:
        fixture = stack.enter_context(Fixture(era or "both"))
        if era is None:
            yield fixture.url
            return
        config = f'mcp: {{ servers: {{ {SERVER}: {{ url: "{fixture.url}", isolation: caller }} }} }}\n'
        gateway = stack.enter_context(Gateway(config))
        gateway.until_ready(SERVER)
        if aggregate:
            yield stack.enter_context(Renaming(f"{gateway.url}/mcp", SERVER)).url
        else:
            yield f"{gateway.url}/mcp/{SERVER}"


def run(url, revision, scenarios=()):
    """Runs the suite, one scenario after the other, and gives {scenario: Outcome}."""
    wanted = list(scenarios) or required(revision)
    with tempfile.TemporaryDirectory(prefix="portolan-suite-") as folder:
        choices = [["--scenario", scenario, "--spec-version", revision] for scenario in scenarios] or [["--requirements", revision]]
        said = "".join(conformance(folder, ["server", "--url", url, "--timeout", str(SCENARIO_MS), "-o", folder, *choice]) for choice in choices)
        found = {}
        for file in Path(folder).glob("server-*/checks.json"):
            name = re.fullmatch(r"server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z", file.parent.name)[1]
            found[name] = outcome(json.loads(file.read_text()))
    nothing = Outcome(0, 1, [NO_RESULT], {NO_RESULT: said[-500:]})
    return {scenario: found.get(scenario, nothing) for scenario in [*wanted, *sorted(set(found) - set(wanted))]}


def conformance(folder, words):
    """What the suite prints. Its exit code says less than its results."""
    command = [str(peers.NODE_BIN / "conformance"), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, cwd=folder, env=peers.environment(folder))
    return done.stdout + done.stderr


def required(revision):
    """The server's scenarios that a revision requires."""
    with tempfile.TemporaryDirectory(prefix="portolan-suite-") as folder:
        said = conformance(folder, ["list", "--requirements", revision])
    part = re.search(r"^Server scenarios[^\n]*\n((?:  - \S+\n)+)", said, re.MULTILINE)
    if not part:
        raise AssertionError(f"the suite lists no scenarios of {revision}\n{said[-2000:]}")
    return re.findall(r"- (\S+)", part[1])


def outcome(checks):
    """Counts checks. A warning is a failure: the fixture gives no cause for one."""
    failed = [check for check in checks if check["status"] in ("FAILURE", "WARNING")]
    why = {}
    for check in failed:
        why.setdefault(check["id"], check.get("errorMessage") or check["description"])
    return Outcome(sum(check["status"] == "SUCCESS" for check in checks), len(failed), list(why), why)


def expected(revision, era):
    """The entries of an expected-failures file: `scenario` or `scenario:check`, each below the reason for it."""
    file = EXPECTED / f"{revision}-through-{era}.yml"
    entries, reason = [], False
    for line in file.read_text().splitlines():
        line = line.strip()
        if line.startswith("#"):
            reason = True
        elif not line:
            reason = False
        elif line.startswith("- "):
            if not reason:
                raise AssertionError(f"{file.name} has no reason for `{line[2:]}`")
            entries.append(line[2:])
    return entries


def against(outcomes, entries):
    """What fails and is not expected, and what is expected and does not fail."""
    failed = {(scenario, check): why for scenario, outcome in outcomes.items() for check, why in outcome.why.items()}
    named = {entry: {found for found in failed if entry in (found[0], ":".join(found))} for entry in entries}
    known = set().union(*named.values())
    return [(*found, why) for found, why in failed.items() if found not in known], [entry for entry, found in named.items() if not found]


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--through", choices=REVISIONS, help="behind the gateway stands a server of this era")
    options.add_argument("--aggregate", action="store_true", help="ask the gateway at /mcp instead of at /mcp/{server}")
    options.add_argument("--revision", choices=REVISIONS.values(), default=MODERN)
    options.add_argument("scenarios", nargs="*", metavar="SCENARIO")
    given = options.parse_args()
    if given.through and not os.access(binary(), os.X_OK):
        return f"no program at {binary()}: build it, or set PORTOLAN_BIN"
    outcomes = tried(given.revision, given.through, given.aggregate, given.scenarios)
    for scenario, found in outcomes.items():
        print(f"{'FAIL' if found.failed else 'ok':4} {scenario}: {found.passed} passed, {found.failed} failed")
        for check, why in found.why.items():
            print(f"       {check}: {' '.join(why.split())[:300]}")
    failed = sum(found.failed for found in outcomes.values())
    print(f"\n{sum(found.passed for found in outcomes.values())} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
