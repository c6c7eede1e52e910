"""Cases: `/v0.1` is read as the official MCP registry is, by programs that know that one's description and nothing of ours."""

import json
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager

import peers
from cases import Checks, case
from gateway import Gateway, binary
from peers import HERE, SCHEMATHESIS, Answer

KEY = "interop-registry-key"
OFFICIAL = "io.modelcontextprotocol.registry/official"
CONFIG = f"""
auth:
  keys:
    reader: {{ key: {KEY}, grants: [registry] }}
mcp:
  servers:
    news: {{ command: ["{binary()}", demo-server] }}
    wiki: {{ command: ["{binary()}", demo-server, --words, words] }}
"""
# What there is: `news` never changed; `wiki` did three times, and the last change was taken back.
NEWS, *WIKI = "localhost/news@1.0.0", "localhost/wiki@1.0.2", "localhost/wiki@1.0.1", "localhost/wiki@1.0.0"
DELETED = "localhost/wiki@1.0.3"


@case("api")
def schemathesis_finds_the_registry_interface_to_be_the_official_one(_):
    with registry() as gateway:
        command = [SCHEMATHESIS, "--no-color", "--config-file", HERE / "api/registry.toml", "run"]
        peers.run([*command, HERE / "api/registry-openapi.json", "--url", gateway.url], gateway.home, PORTOLAN_KEY=KEY)


@case()
def pages_of_the_registry_hold_every_version_once(_):
    with registry() as gateway, Checks() as checks:
        for size in range(1, 6):
            checks.equal(f"{size} on a page", versions(*pages(gateway, limit=size)), [NEWS, *WIKI])
            everything = versions(*pages(gateway, limit=size, include_deleted="true"))
            checks.equal(f"{size} on a page, with the deleted one", everything, [NEWS, DELETED, *WIKI])


@case()
def the_registry_is_searched_as_the_official_one_is(_):
    with registry() as gateway, Checks() as checks:
        changed = official(ask(gateway, "/localhost%2Fwiki/versions/1.0.1"))["updatedAt"]
        for wish, found in (
            ({"search": "WIK"}, WIKI),
            ({"search": "lhost/n"}, [NEWS]),
            ({"search": "nothing"}, []),
            ({"version": "latest"}, [NEWS, WIKI[0]]),
            ({"version": "1.0.0"}, [NEWS, WIKI[-1]]),
            ({"version": "1.0.0", "search": "news"}, [NEWS]),
            # Whoever keeps a copy must hear of what is gone.
            ({"updated_since": changed}, [DELETED, *WIKI[:2]]),
            ({"updated_since": "2999-01-01T00:00:00Z"}, []),
        ):
            checks.equal(wish, versions(ask(gateway, **wish)), found)


@case()
def a_version_of_the_registry_is_found_by_its_number_and_by_latest(_):
    with registry() as gateway, Checks() as checks:
        wiki = "/localhost%2Fwiki/versions"
        latest = ask(gateway, f"{wiki}/latest")
        checks.equal("latest", latest, ask(gateway, f"{wiki}/1.0.2"))
        checks.equal("is latest", [official(one)["isLatest"] for one in ask(gateway, wiki)["servers"]], [True, False, False])
        checks.equal("all", versions(ask(gateway, wiki)), WIKI)
        checks.equal("with the deleted one", versions(ask(gateway, wiki, include_deleted="true")), [DELETED, *WIKI])
        deleted = ask(gateway, f"{wiki}/1.0.3", include_deleted="true")
        checks.equal("status", [official(one)["status"] for one in (latest, deleted)], ["active", "deleted"])
        for absent in (f"{wiki}/1.0.3", f"{wiki}/9.9.9", "/localhost%2Fnone/versions", "/localhost%2Fnone/versions/latest"):
            checks.equal(absent, set(ask(gateway, absent, status=404)), {"error"})


@contextmanager
def registry():
    """A gateway that has had the releases above, and answers whoever has the key."""
    with Gateway(CONFIG) as gateway:
        gateway.until_ready("news")
        gateway.until_ready("wiki")
        for words in ("Sends it back.", "Sends a text back as it came.", "Sends nothing back."):
            (gateway.home / "words").write_text(words)
            gateway.cli("server", "refresh", "wiki")
            gateway.cli("registry", "approve", "wiki")
        gateway.cli("registry", "rollback", "wiki")
        yield gateway


def ask(gateway, path="", status=200, **query):
    """What the registry answers, and that it answers with that status."""
    url = f"{gateway.url}/v0.1/servers{path}?{urllib.parse.urlencode(query)}"
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {KEY}"})
    try:
        answer = urllib.request.urlopen(request, timeout=10)
    except urllib.error.HTTPError as refused:
        answer = refused
    with answer:
        body = answer.read().decode()
        if answer.status != status:
            raise AssertionError(f"{url} was answered {answer.status}, not {status}\n{body[:500]}")
    return json.loads(body, object_hook=Answer)


def pages(gateway, **query):
    """The pages of a list, from one cursor to the next."""
    page, cursors = ask(gateway, **query), []
    yield page
    while cursor := page["metadata"].get("nextCursor"):
        if cursor in cursors:
            raise AssertionError(f"the pages after {cursor!r} lead back to it")
        cursors.append(cursor)
        page = ask(gateway, cursor=cursor, **query)
        yield page


def versions(*pages):
    return [f"{one['server']['name']}@{one['server']['version']}" for page in pages for one in page["servers"]]


def official(one):
    return one["_meta"][OFFICIAL]
