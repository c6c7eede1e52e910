"""Cases: the gateway is the client to servers that the conformance suite of MCP wants.

`conformance_client.py` is the client that the suite tries where one must log in, and where it must not; `conformance_calls.py` is the
one that it tries elsewhere. All scenarios are tried that a revision requires.
"""

import json
import re
import shlex
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import peers
from cases import Checks, case, equal
from conformance_calls import SCENARIOS
from conformance_client import PUBLIC_URL
from gateway import binary
from journeys import LEGACY, MODERN
from peers import HERE, NODE_BIN

DISCOVERY = ("metadata-default", "metadata-var1", "metadata-var2", "metadata-var3")
CLIENTS = ("basic-cimd", "pre-registration", "token-endpoint-auth-basic", "token-endpoint-auth-none", "token-endpoint-auth-post")
SCOPES = (
    "offline-access-not-supported",
    "offline-access-scope",
    "scope-from-scopes-supported",
    "scope-from-www-authenticate",
    "scope-omitted-when-undefined",
    "scope-retry-limit",
    "scope-step-up",
)
ISSUERS = (
    "authorization-server-migration",
    "iss-normalized",
    "iss-not-advertised",
    "iss-supported",
    "iss-supported-missing",
    "iss-unexpected",
    "iss-wrong-issuer",
    "metadata-issuer-mismatch",
    "resource-mismatch",
)

# Where the client must not get in, the suite takes any failure of it. These are the right ones.
FOREIGN = "NotLoggedIn: the browser shows, with status 400: .* not from the authorization server that was asked"
REFUSED = {
    **dict.fromkeys(("iss-normalized", "iss-supported-missing", "iss-unexpected", "iss-wrong-issuer"), FOREIGN),
    "metadata-issuer-mismatch": "NotLoggedIn: .* none of the server's authorization servers says how to log in",
    "resource-mismatch": "NotLoggedIn: .* is of another address than the server's",
    "scope-retry-limit": "NotLetIn: .* log in again .* to allow `mcp:admin`",
}

# Calls that the suite can try beside what it requires.
BESIDE = ("json-schema-2020-12-preservation",)

# Checks of logins that fail because the suite is wrong; one that does not fail any more fails the case.
EXPECTED = {
    # It takes one fixed address for the document of a client. A gateway's document is at its own address, see `by_document`.
    "basic-cimd": {"cimd-client-id-used"},
}


@case("node")
def the_conformance_suite_requires_no_login_that_is_not_tried(gateway):
    tried = sorted({*DISCOVERY, *CLIENTS, *SCOPES, *ISSUERS})
    equal(sorted(required(gateway, MODERN)), tried)
    equal(set(required(gateway, LEGACY)) - set(tried), set())


@case("node")
def the_conformance_suite_sees_the_gateway_find_out_where_to_log_in(gateway):
    all_pass(gateway, DISCOVERY)


@case("node")
def the_conformance_suite_sees_the_gateway_become_a_client_in_each_way(gateway):
    all_pass(gateway, CLIENTS)


@case("node")
def the_conformance_suite_sees_the_gateway_ask_for_the_right_scopes(gateway):
    all_pass(gateway, SCOPES)


@case("node")
def the_conformance_suite_sees_the_gateway_heed_who_answers(gateway):
    all_pass(gateway, ISSUERS)


@case("node")
def the_conformance_suite_requires_no_call_that_is_not_tried(gateway):
    asked = {name for revision in (LEGACY, MODERN) for name in required(gateway, revision, "")}
    equal(sorted(asked | set(BESIDE)), sorted(SCENARIOS))


@case("node")
def the_conformance_suite_sees_the_gateway_call_for_a_client_of_the_same_era(gateway):
    all_called(gateway, {LEGACY: "legacy", MODERN: "modern"})


@case("node")
def the_conformance_suite_sees_the_gateway_call_for_a_client_of_the_other_era(gateway):
    all_called(gateway, {LEGACY: "modern", MODERN: "legacy"})


def required(gateway, revision, group="auth/"):
    """The scenarios that a client must pass to conform to a revision: those of authorization, or with no group the others."""
    said = peers.run([NODE_BIN / "conformance", "list", "--requirements", revision], gateway.home)
    part = re.search(r"^Client scenarios[^\n]*\n((?:  - \S+\n)+)", said, re.MULTILINE)
    return re.findall(rf"^  - {group}([^/\s]+)$", part[1], re.MULTILINE)


def all_pass(gateway, names):
    """Tries logins in each revision that requires them."""
    runs = [(name, revision) for revision in (LEGACY, MODERN) for name in required(gateway, revision) if name in names]
    two_at_a_time(lambda name, revision: attempt(gateway, name, revision), runs)


def all_called(gateway, eras):
    """Tries all calls of each revision, for a client of the era that is named for it."""
    runs = [(name, revision) for revision in eras for name in [*required(gateway, revision, ""), *BESIDE]]
    two_at_a_time(lambda name, revision: called(gateway, name, revision, eras[revision]), runs)


def two_at_a_time(attempt, runs):
    """Since the suite's own way is all at once."""
    with Checks() as checks, ThreadPoolExecutor(2) as pool:
        for (name, revision), wrong in zip(runs, pool.map(lambda run: attempt(*run), runs)):
            checks.equal(f"{name} in {revision}", wrong, [])


def called(gateway, name, revision, era):
    """Tries one scenario without a login, and gives what went wrong."""
    done, checks, said = suite(gateway, name, revision, "conformance_calls.py", era)
    wrong = [f"{check['id']}: {check.get('errorMessage') or check['description']}" for check in failures(checks)]
    if said:
        wrong.append(f"the client says {said!r}")
    if not wrong and (done.returncode != 0 or not any(check["status"] == "SUCCESS" for check in checks)):
        wrong.append(f"exit code {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
    return wrong


def failures(checks):
    return [check for check in checks if check["status"] in ("FAILURE", "WARNING")]


def suite(gateway, scenario, revision, *client):
    """Runs one scenario with a client of ours: the process as it ended, the suite's checks, and what the client said was wrong."""
    command = shlex.join([sys.executable, str(HERE / client[0]), *client[1:]])
    words = ["client", "--command", command, "--scenario", scenario, "--spec-version", revision]
    environment = peers.environment(gateway.home, PORTOLAN_BIN=str(binary()), PORTOLAN_PEERS_DIR=str(peers.ROOT))
    with tempfile.TemporaryDirectory(prefix="portolan-conformance-") as folder:
        command = [NODE_BIN / "conformance", *words, "--output-dir", folder]
        done = subprocess.run(command, capture_output=True, text=True, timeout=peers.TIMEOUT, cwd=folder, env=environment)
        results = next(Path(folder).glob(f"{scenario}-*/checks.json"), None)
        if results is None:
            return done, [], f"exit code {done.returncode}: {(done.stdout + done.stderr)[-2000:]}"
        return done, json.loads(results.read_text()), (results.parent / "stderr.txt").read_text()


def attempt(gateway, name, revision):
    """Tries one login, and gives what went wrong."""
    done, checks, said = suite(gateway, f"auth/{name}", revision, "conformance_client.py")
    failed = failures(checks)
    expected = EXPECTED.get(name, set())
    wrong = [f"{check['id']}: {check['description']}" for check in failed if check["id"] not in expected]
    wrong += [f"{check} does not fail any more" for check in expected - {check["id"] for check in failed}]
    if name == "basic-cimd":
        wrong += by_document(checks)
    if not re.match(REFUSED.get(name, "$"), said, re.DOTALL):
        wrong.append(f"the client says {said!r}")
    if done.returncode != 0 and not wrong and not expected:
        wrong.append(f"exit code {done.returncode}: {done.stderr[-2000:]}")
    return wrong


def by_document(checks):
    """What is wrong with a client that should be known by its document: it names that, and does not register."""
    shown = [check["details"]["actualClientId"] for check in checks if check["id"] == "cimd-client-id-used"]
    wrong = [f"registered as {check['details']}" for check in checks if check["id"] == "client-registration"]
    return wrong + [f"called itself {name}" for name in shown if name != f"{PUBLIC_URL}/oauth/client.json"]
