#!/usr/bin/env python3
"""Cases: what the conformance suite of MCP asks of a server holds for one behind the gateway as it does for the server itself.

    python3 tests/interop/suite.py [--through legacy|modern] [--aggregate] --revision REVISION [SCENARIO…]

prints what passes and what fails, and why: of our fixture server directly, or of the gateway in front of one of the named era, at
`/mcp/{server}` or at `/mcp`. `expected/` tells what cannot pass there, in the suite's own format, with the reasons.
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
from functools import cache
from pathlib import Path
from typing import NamedTuple

import peers
from cases import Checks, case
from conformance_client import ask
from fixture_peer import Fixture
from gateway import Gateway, binary
from journeys import LEGACY, MODERN
from renaming import Renaming

REVISIONS = {"legacy": LEGACY, "modern": MODERN}
EXPECTED = peers.HERE / "expected"
# What the suite can try beside what a revision's requirements name.
BESIDE = {LEGACY: [], MODERN: ["sep-2640-skills-directory", "sep-2640-skills-enumeration", "sep-2640-skills-manifest"]}
# Short, so that no public name of a tool is too long.
SERVER = "fix"
# One scenario may wait this long, in milliseconds; all of a revision together, this long in seconds.
SCENARIO_MS = 20_000
TIMEOUT = 900
# A scenario that left no results.
NO_RESULT = "did-not-end"
NOT_SEEN = "is not looked at"


class Outcome(NamedTuple):
    passed: int
    failed: int
    # The checks that failed, what each says, and the checks that passed.
    checks: list
    why: dict
    held: set


@case("node")
def the_conformance_suite_finds_nothing_wrong_with_the_fixture(gateway):
    with Checks() as checks:
        for revision in (LEGACY, MODERN):
            for scenario, outcome in directly(revision).items():
                checks.equal(f"{scenario} in {revision}", outcome.why, {})


@case("node")
def the_conformance_suite_finds_the_same_through_the_gateway_as_directly(gateway):
    as_expected(*((REVISIONS[era], era, False) for era in REVISIONS))


@case("node")
def the_conformance_suite_finds_the_same_through_the_aggregate_as_directly(gateway):
    as_expected(*((REVISIONS[era], era, True) for era in REVISIONS))


@case("node")
def the_conformance_suite_finds_a_legacy_server_modern_behind_the_gateway(gateway):
    as_expected((MODERN, "legacy", False), (MODERN, "legacy", True))


@case("node")
def the_conformance_suite_finds_a_modern_server_legacy_behind_the_gateway(gateway):
    as_expected((LEGACY, "modern", False), (LEGACY, "modern", True))


def as_expected(*runs):
    """Two runs at once, of a revision through the gateway with a server of an era: what is worse than directly is what is expected."""
    with Checks() as checks, ThreadPoolExecutor(2) as pool:
        for (revision, era, aggregate), through in zip(runs, pool.map(lambda run: tried(*run), runs)):
            where = f"{revision} at {'/mcp' if aggregate else '/mcp/{server}'}"
            unexpected, stale = against(worse(directly(revision), through), expected(revision, era, aggregate))
            for (scenario, check), why in unexpected.items():
                checks.holds(f"{where}: {scenario}", False, f"{check}: {why[:300]}")
            checks.equal(f"{where}: does not fail any more", stale, [])


def worse(before, through):
    """What passes directly and does not through the gateway, as {(scenario, check): why}; also what the suite then has no cause to look at."""
    found = {}
    for scenario, outcome in through.items():
        lost = {check: NOT_SEEN for check in sorted(before[scenario].held - outcome.held)}
        for check, why in {**lost, **outcome.why}.items():
            if check not in before[scenario].checks:
                found[scenario, check] = why
    return found


@cache
def directly(revision):
    """All scenarios of a revision, of the fixture itself."""
    return tried(revision)


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
        approve_changes(gateway)
        if aggregate:
            yield stack.enter_context(Renaming(f"{gateway.url}/mcp", SERVER)).url
        else:
            yield f"{gateway.url}/mcp/{SERVER}"


def approve_changes(gateway):
    """A person approves each form that the fixture's lists take: what has new words, or has lost something, is not shown before that."""
    changes = ("tool", "prompt", "tool", "prompt")
    for nth, kind in enumerate(changes, 1):
        ask(gateway, SERVER, "tools/call", name=f"test_trigger_{kind}_change", arguments={})
        gateway.cli("server", "refresh", SERVER)
        # The last form is the first once more.
        if nth < len(changes):
            gateway.cli("registry", "approve", SERVER)


def run(url, revision, scenarios=()):
    """Runs the suite, one scenario after the other, and gives {scenario: Outcome}."""
    wanted = list(scenarios) or [*required(revision), *BESIDE[revision]]
    # Extensions are of no revision, so the suite must be told that this one is meant.
    choices = [["--scenario", scenario, "--spec-version", revision, "--force"] for scenario in scenarios or BESIDE[revision]]
    if not scenarios:
        choices.insert(0, ["--requirements", revision])
    with tempfile.TemporaryDirectory(prefix="portolan-suite-") as folder:
        always = ["server", "--url", url, "--timeout", str(SCENARIO_MS), "-o", folder]
        said = "".join(conformance(folder, [*always, *choice]) for choice in choices)
        found = {}
        for file in Path(folder).glob("server-*/checks.json"):
            name = re.fullmatch(r"server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z", file.parent.name)[1]
            found[name] = outcome(json.loads(file.read_text()))
    nothing = Outcome(0, 1, [NO_RESULT], {NO_RESULT: said[-500:]}, set())
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
    passed = [check["id"] for check in checks if check["status"] == "SUCCESS"]
    why = {}
    for check in failed:
        why.setdefault(check["id"], check.get("errorMessage") or check["description"])
    return Outcome(len(passed), len(failed), list(why), why, set(passed))


def expected(revision, era, aggregate):
    """What cannot pass, also where only `/mcp` cannot have it."""
    entries = listed(EXPECTED / f"{revision}-through-{era}.yml")
    more = EXPECTED / f"{revision}-through-{era}-at-aggregate.yml"
    return entries + listed(more) if aggregate and more.exists() else entries


def listed(file):
    """The entries of an expected-failures file: `scenario` or `scenario:check`, each below the reason for it."""
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


def against(found, entries):
    """What is found and not expected, and what is expected and not found."""
    named = {entry: {check for check in found if entry in (check[0], ":".join(check))} for entry in entries}
    known = set().union(*named.values())
    return {check: why for check, why in found.items() if check not in known}, [entry for entry, checks in named.items() if not checks]


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
    found = {(scenario, check): why for scenario, outcome in outcomes.items() for check, why in outcome.why.items()}
    known = {}
    if given.through:
        found = worse(tried(given.revision, scenarios=given.scenarios), outcomes)
        entries = expected(given.revision, given.through, given.aggregate)
        unexpected, stale = against(found, [entry for entry in entries if entry.split(":")[0] in outcomes])
        known = found.keys() - unexpected.keys()
    for scenario, outcome in outcomes.items():
        print(f"{'FAIL' if outcome.failed else 'ok':4} {scenario}: {outcome.passed} passed, {outcome.failed} failed")
        for check, why in found.items():
            if check[0] == scenario:
                print(f"       {'(expected) ' if check in known else ''}{check[1]}: {' '.join(why.split())[:300]}")
    for entry in stale if given.through else []:
        print(f"expected, and does not fail any more: {entry}")
    total = sum(outcome.failed for outcome in outcomes.values())
    print(f"\n{sum(outcome.passed for outcome in outcomes.values())} passed, {total} failed, {len(found.keys() - known)} not expected")
    return 1 if found.keys() - known else 0


if __name__ == "__main__":
    sys.exit(main())
