"""Cases: each curated server is what its manifest says. It is added by its name, from its real package, and offers what was reviewed.

`install.sh curated` fetches the packages, with all that they depend on as it was on the day when they were curated.
"""

import json

from cases import Checks, case, equal
from curated_install import FILES, MANIFESTS
from gateway import Gateway
from peers import ROOT

PLACE = ROOT / "curated"
# The caches of `install.sh curated`: nothing is fetched while a case runs.
ENVIRONMENT = {"npm_config_userconfig": PLACE / "npmrc", "XDG_CACHE_HOME": PLACE / "cache", "XDG_CONFIG_HOME": PLACE / "config"}
SETTINGS = [word for name, value in ENVIRONMENT.items() for word in ("--env", f"{name}={value}")]
LEAST = 10


def arguments(manifest, home):
    """What a server must be given: folders."""
    package = manifest["server"]["packages"][0]
    return [str(home) for one in package.get("packageArguments", []) if one.get("isRequired")]


@case("curated", "python", "node")
def each_curated_server_is_added_by_name_and_offers_what_was_reviewed(_):
    with Gateway(config="registry: { profile: team }\n") as gateway, Checks() as checks:
        listed = json.loads(gateway.cli("registry", "curated", "--json"))["curated"]
        checks.equal("all files ship with the binary", len(listed), len(FILES))
        checks.holds("there are enough", len(listed) >= LEAST, len(listed))
        manifests = {f"{one['server']['name']}@{one['server']['version']}": one for one in MANIFESTS}
        for one in listed:
            name, manifest = one["name"], manifests[one["id"]]
            try:
                added = add(gateway, name, arguments(manifest, gateway.home))
                release = json.loads(gateway.cli("registry", "releases", name, "--json"))["releases"]
            except AssertionError as error:
                checks.holds(name, False, str(error))
                continue
            checks.equal(f"{name}: found", added["look"], {"found": "accepted", "release": "1.0.0"})
            checks.equal(f"{name}: held", added["held"], False)
            checks.equal(f"{name}: digest", added["digest"], manifest["_meta"]["dev.portolan/release"]["digest"])
            checks.equal(f"{name}: decided by", [(row["version"], row["decided_by"]) for row in release], [("1.0.0", f"the curated manifest {one['id']}")])


@case("curated", "python", "node")
def a_curated_manifest_is_renewed_as_it_is(_):
    with Gateway(config="{}\n") as gateway:
        file = next(file for file in FILES if file.parent.name == "server-fetch")
        gateway.cli("registry", "curate", file, *SETTINGS, "--out", gateway.root / "registry")
        equal((gateway.root / "registry" / file.relative_to(file.parents[2])).read_text(), file.read_text())
        checked = json.loads(gateway.cli("registry", "curate", file, *SETTINGS, "--out", file.parents[2], "--check", "--json"))
        equal([one["standing"] for one in checked["servers"]], ["same"])


def add(gateway, name, own):
    return json.loads(gateway.cli("server", "add", name, "--curated", name, "--json", *SETTINGS, "--", *own))
