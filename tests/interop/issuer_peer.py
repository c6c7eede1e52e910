"""A real OAuth issuer, npm's oidc-provider, on loopback; see node/issuer.mjs."""

import json
import subprocess
import tempfile
import urllib.parse
import urllib.request

import peers


class Issuer:
    """Serves while it is entered. Access tokens are good for `ttl` seconds, by a clock that is `behind`. With `pages` it asks
    people who they are and whether they agree; else it logs everyone in as `alice`, unasked."""

    def __init__(self, ttl=300, behind=0, pages=False):
        self.settings = {"ttl": ttl, "behind": behind, "pages": pages}

    def __enter__(self):
        self.root = tempfile.TemporaryDirectory(prefix="portolan-issuer-")
        with open(f"{self.root.name}/log", "w") as log:
            self.process = subprocess.Popen(
                [*peers.node("issuer"), json.dumps(self.settings)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=self.root.name,
                env=peers.environment(self.root.name),
            )
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            with open(f"{self.root.name}/log") as log:
                said = log.read()[-2000:]
            self.__exit__()
            raise AssertionError(f"the issuer did not start\n{said}")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.root.cleanup()

    def token(self, resource, scope):
        """An access token for a service, which has no person behind it: it registers itself, and asks in its own name."""
        service = {"grant_types": ["client_credentials"], "response_types": [], "redirect_uris": []}
        service["token_endpoint_auth_method"] = "client_secret_post"
        made = peers.post(f"{self.url}/reg", service)
        form = {"grant_type": "client_credentials", "resource": resource, "scope": scope}
        form |= {"client_id": made["client_id"], "client_secret": made["client_secret"]}
        with urllib.request.urlopen(f"{self.url}/token", urllib.parse.urlencode(form).encode(), timeout=10) as answer:
            return json.load(answer, object_hook=peers.Answer)["access_token"]
