// An OAuth 2.1 issuer on loopback: oidc-provider, which lets any client register and logs everyone in as `alice` at once, so that
// following its redirects with cookies is all that a client needs; or it shows its own pages, where a person says who they are and
// agrees. Writes its address on standard output, and serves until it is killed. The first argument is JSON:
//   ttl     how long an access token is good, in seconds
//   behind  by how much its clock is behind, in seconds; where that much is allowed for, tokens end when they are meant to
//   pages   whether it shows its pages
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { Provider, errors } from "oidc-provider";

const { ttl = 300, behind = 0, pages = false } = JSON.parse(process.argv[2] ?? "{}");
const SCOPES = ["mcp.use", "llm.use"];

// The address must be known to the provider, and the port is not known until it is listened at.
const server = createServer();
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" });

/** Gateways are on this machine, on ports that they choose after this has started. */
function resourceServer(_, resource) {
  if (new URL(resource).hostname !== "127.0.0.1") throw new errors.InvalidTarget();
  return {
    scope: SCOPES.join(" "),
    audience: resource,
    accessTokenFormat: "jwt",
    accessTokenTTL: ttl,
    jwt: { sign: { alg: "ES256" } },
  };
}

function setClockBack(_, __, { payload }) {
  payload.iat -= behind;
  payload.exp -= behind;
}

const provider = new Provider(issuer, {
  jwks: { keys: [{ ...key, use: "sig", alg: "ES256", kid: "one" }] },
  clientDefaults: { id_token_signed_response_alg: "ES256" },
  cookies: { keys: [randomBytes(32).toString("hex")] },
  scopes: ["openid", "offline_access", ...SCOPES],
  responseTypes: ["code"],
  pkce: { required: () => true },
  features: {
    devInteractions: { enabled: pages },
    registration: { enabled: true },
    clientCredentials: { enabled: true },
    resourceIndicators: { enabled: true, getResourceServerInfo: resourceServer, useGrantedResource: () => true },
  },
  formats: { customizers: { jwt: setClockBack } },
  issueRefreshToken: (_, client) => client.grantTypeAllowed("refresh_token"),
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  // Its own pages have this address, too.
  interactions: { url: (_, { uid }) => `/interaction/${uid}` },
});

/** What a person would do: log in, and agree to all that is asked for. */
async function interact(request, response) {
  const { prompt, params, grantId } = await provider.interactionDetails(request, response);
  const done = { login: { accountId: "alice" } };
  if (prompt.name === "consent") {
    const grant = (await provider.Grant.find(grantId)) ?? new provider.Grant({ accountId: "alice", clientId: params.client_id });
    const { missingOIDCScope: scopes = [], missingResourceScopes: resources = {} } = prompt.details;
    grant.addOIDCScope(scopes.join(" "));
    for (const [resource, wanted] of Object.entries(resources)) grant.addResourceScope(resource, wanted.join(" "));
    done.consent = { grantId: await grant.save() };
  }
  await provider.interactionFinished(request, response, done, { mergeWithLastSubmission: true });
}

const serve = provider.callback();
server.on("request", (request, response) => {
  if (pages || !request.url.startsWith("/interaction/")) return serve(request, response);
  interact(request, response).catch((error) => response.writeHead(500).end(String(error)));
});
console.log(issuer);
