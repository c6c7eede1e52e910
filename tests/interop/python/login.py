"""A login by OAuth as an application with the Python SDK does it, but for the person: the issuer's pages need none."""

import httpx2
from mcp.client.auth import OAuthClientProvider
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata

# Nobody listens there: the code is read off the address that the issuer sends the browser to.
CALLBACK = "http://127.0.0.1:9/callback"


class Login:
    """Keeps in memory what the SDK would store, and counts."""

    def __init__(self, url):
        self.url = url
        self.tokens = self.client = self.answer = None
        self.logins = self.issued = 0

    def http(self):
        """A client that logs in when it has to."""
        metadata = OAuthClientMetadata(client_name="interop", redirect_uris=[CALLBACK], token_endpoint_auth_method="none")
        provider = OAuthClientProvider(self.url, metadata, self, self.visit, self.answered)
        return httpx2.AsyncClient(auth=provider, timeout=30)

    async def visit(self, url):
        """Follows redirects as a browser does, with cookies, until they lead to the callback."""
        self.logins += 1
        async with httpx2.AsyncClient(timeout=30) as browser:
            for _ in range(20):
                page = await browser.get(url)
                if page.next_request is None:
                    raise SystemExit(f"{url} answers {page.status_code}: {page.text}")
                url = page.next_request.url
                if str(url).startswith(CALLBACK):
                    self.answer = AuthorizationCodeResult(**url.params)
                    return
        raise SystemExit(f"no end of redirects at {url}")

    async def answered(self):
        return self.answer

    def report(self):
        return {"logins": self.logins, "tokens": self.issued}

    # What the SDK asks of a store.

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens
        self.issued += 1

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client
