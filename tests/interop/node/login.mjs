// A login by OAuth as an application with the TypeScript SDK does it, but for the person: the issuer's pages need none.

// Nobody listens there: the code is read off the address that the issuer sends the browser to.
const CALLBACK = "http://127.0.0.1:9/callback";

/** Follows redirects as a browser does, with cookies, until they lead to the callback, and gives its parameters. */
async function visit(url) {
  const cookies = new Map();
  for (let hops = 0; hops < 20; hops++) {
    if (String(url).startsWith(CALLBACK)) return new URL(url).searchParams;
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const page = await fetch(url, { redirect: "manual", headers: { cookie } });
    for (const set of page.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(set);
      if (value) cookies.set(name, value);
      else cookies.delete(name);
    }
    const next = page.headers.get("location");
    if (!next) throw new Error(`${url} answers ${page.status}: ${await page.text()}`);
    url = new URL(next, url);
  }
  throw new Error(`no end of redirects at ${url}`);
}

/** An OAuthClientProvider that keeps all in memory. */
export class Login {
  redirectUrl = CALLBACK;
  clientMetadata = {
    client_name: "interop",
    redirect_uris: [CALLBACK],
    application_type: "native",
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
    token_endpoint_auth_method: "none",
  };
  #logins = 0;
  #issued = 0;
  #state;
  #client;
  #tokens;
  #verifier;

  state = () => (this.#state = crypto.randomUUID());
  clientInformation = () => this.#client;
  saveClientInformation = (client) => void (this.#client = client);
  tokens = () => this.#tokens;
  codeVerifier = () => this.#verifier;
  saveCodeVerifier = (verifier) => void (this.#verifier = verifier);

  saveTokens(tokens) {
    this.#tokens = tokens;
    this.#issued += 1;
  }

  async redirectToAuthorization(url) {
    this.#logins += 1;
    const answer = await visit(url);
    if (answer.get("state") !== this.#state) throw new Error(`the issuer answers ${answer}`);
    this.code = answer.get("code");
  }

  /** How often it was sent to the issuer's pages, and how many tokens it was given. */
  report() {
    return { logins: this.#logins, tokens: this.#issued };
  }
}
