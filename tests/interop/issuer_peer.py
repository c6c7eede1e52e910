"""A real OAuth issuer, npm's oidc-provider, on loopback; see node/issuer.mjs."""

import json
import urllib.parse
import urllib.request

import peers
from program import Program


class Issuer(Program):
    """Serves while it is entered. Access tokens are good for `ttl` seconds, by a clock that is `behind`. With `pages` it asks
    people who they are and whether they agree; else it logs everyone in as `alice`, unasked."""

    def __init__(self, ttl=300, behind=0, pages=False):
        self.settings = {"ttl": ttl, "behind": behind, "pages": pages}

    def __enter__(self):
        self.start("issuer", [*peers.node("issuer"), json.dumps(self.settings)])
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            failure = self.failed("did not start")
            self.__exit__()
            raise failure
        return self

    def token(self, resource, scope):
        """An access token for a service, which has no person behind it: it registers itself, and asks in its own name."""
        service = {"grant_types": ["client_credentials"], "response_types": [], "redirect_uris": []}
        service["token_endpoint_auth_method"] = "client_secret_post"
        made = peers.post(f"{self.url}/reg", service)
        form = {"grant_type": "client_credentials", "resource": resource, "scope": scope}
        form |= {"client_id": made["client_id"], "client_secret": made["client_secret"]}
        with urllib.request.urlopen(f"{self.url}/token", urllib.parse.urlencode(form).encode(), timeout=10) as answer:
            return json.load(answer, object_hook=peers.Answer)["access_token"]
