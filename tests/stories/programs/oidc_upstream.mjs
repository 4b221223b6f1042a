// npm's `oidc-provider` as the authorization server of a protected MCP server. Arguments: the port (0 takes a free
// one), the file that it keeps everything in, and as JSON `resource` (the MCP server's URL), `scopes` (its scopes),
// `users` (who can sign in: the field wants their name and nothing else), `access_seconds`, and `dpop`: whether it
// binds tokens to a key where a client wants that.
// It prints `ready URL`, the URL being its issuer, when it accepts connections. Started again with the same port and
// file it is the same server. Clients register themselves; PKCE is required; every use of a refresh token rotates it,
// and one that is used again ends its grant.
// `GET /control` tells what happened, see `seen`; `PUT /control` changes `access_seconds`;
// `DELETE /control/grants/USER` ends all that somebody allowed.
import { createServer } from 'node:http';
import { once } from 'node:events';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { generateKeyPairSync } from 'node:crypto';
import { pathToFileURL } from 'node:url';

const { default: Provider, errors } = await import(
  pathToFileURL(`${process.env.PORTKEY_MCP_TOOLS}/node_modules/oidc-provider/lib/index.js`)
);

const [port, file] = process.argv.slice(2, 4);
const settings = JSON.parse(process.argv[4]);
const server = createServer().listen(Number(port), '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;

// All it keeps: its key, and `rows` by `MODEL:ID`. Written before anything is answered.
function made() {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { key: privateKey.export({ format: 'jwk' }), rows: {} };
}
const kept = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : made();
function keep() {
  writeFileSync(`${file}.new`, JSON.stringify(kept));
  renameSync(`${file}.new`, file);
}
keep();

// What the provider asks of a store (its `Adapter`).
class Kept {
  constructor(model) {
    this.model = model;
  }
  async upsert(id, { scope, ...payload }) {
    // What a client registered to ask for is no limit: it learns later that a tool needs more.
    kept.rows[`${this.model}:${id}`] = this.model === 'Client' ? payload : { scope, ...payload };
    keep();
  }
  async find(id) {
    return kept.rows[`${this.model}:${id}`];
  }
  async findByUid(uid) {
    return this.all().find((row) => row.uid === uid);
  }
  async findByUserCode() {
    return undefined;
  }
  async consume(id) {
    kept.rows[`${this.model}:${id}`].consumed = Math.floor(Date.now() / 1000);
    keep();
  }
  async destroy(id) {
    delete kept.rows[`${this.model}:${id}`];
    keep();
  }
  async revokeByGrantId(grant) {
    for (const [name, row] of Object.entries(kept.rows)) {
      if (name.startsWith(`${this.model}:`) && row.grantId === grant) delete kept.rows[name];
    }
    keep();
  }
  all() {
    return Object.entries(kept.rows).flatMap(([name, row]) => (name.startsWith(`${this.model}:`) ? [row] : []));
  }
}

const seen = {
  // Token requests since it was started, by grant type: those that gave tokens, and those that were refused.
  granted: {},
  refused: {},
  registered: 0,
  revoked: 0,
  // Everything it ever gave out that nobody else may see.
  secrets: [],
};
const count = (what, name) => (what[name] = (what[name] ?? 0) + 1);

const provider = new Provider(issuer, {
  adapter: Kept,
  clients: [],
  jwks: { keys: [{ ...kept.key, kid: 'first', alg: 'ES256', use: 'sig' }] },
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  cookies: { keys: ['of the tests'] },
  pkce: { required: () => true },
  scopes: ['openid', 'offline_access', ...settings.scopes],
  features: {
    devInteractions: { enabled: false },
    dPoP: { enabled: settings.dpop },
    registration: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => {
        if (resource !== settings.resource) throw new errors.InvalidTarget();
        return {
          audience: resource,
          scope: settings.scopes.join(' '),
          accessTokenTTL: settings.access_seconds,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'ES256' } },
        };
      },
    },
  },
  ttl: { Session: 86400, Grant: 86400, RefreshToken: 86400, IdToken: 600, Interaction: 600, AuthorizationCode: 60 },
  issueRefreshToken: () => true,
  rotateRefreshToken: () => true,
  expiresWithSession: () => false,
  findAccount: (_, sub) => (settings.users.includes(sub) ? { accountId: sub, claims: () => ({ sub }) } : undefined),
  interactions: { url: (_, { uid }) => `/interaction/${uid}` },
});
provider.on('grant.success', ({ oidc, body }) => {
  count(seen.granted, oidc.params.grant_type);
  seen.secrets.push(...[body.access_token, body.refresh_token, body.id_token].filter(Boolean));
});
provider.on('grant.error', ({ oidc }) => count(seen.refused, oidc?.params?.grant_type));
provider.on('authorization.success', (_, { code }) => seen.secrets.push(code));
provider.on('registration_create.success', ({ body }) => {
  seen.registered += 1;
  seen.secrets.push(...[body.client_secret, body.registration_access_token].filter(Boolean));
});

const page = (account) => `<!doctype html><html lang=en><link rel=icon href="data:,"><title>Upstream</title>
<h1>Sign in upstream</h1><form method=post><label>Name <input name=user value="${account ?? ''}"></label>
<button name=decision value=allow>Allow upstream</button><button name=decision value=deny>Refuse upstream</button></form>`;

async function bodyOf(request) {
  let text = '';
  for await (const part of request) text += part;
  return text;
}

// The one page on which people sign in and allow, all that was asked for or nothing.
async function interact(request, response) {
  const { params, session } = await provider.interactionDetails(request, response);
  if (request.method !== 'POST') {
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' });
    return response.end(page(session?.accountId));
  }
  const form = new URLSearchParams(await bodyOf(request));
  if (form.get('decision') !== 'allow' || !settings.users.includes(form.get('user'))) {
    const refusal = { error: 'access_denied', error_description: 'Refused upstream' };
    return provider.interactionFinished(request, response, refusal, { mergeWithLastSubmission: false });
  }
  const grant = new provider.Grant({ accountId: form.get('user'), clientId: params.client_id });
  const wanted = (params.scope ?? '').split(' ').filter(Boolean);
  const known = wanted.filter((scope) => ['openid', 'offline_access', ...settings.scopes].includes(scope));
  if (known.length) grant.addOIDCScope(known.join(' '));
  if (params.resource) grant.addResourceScope(params.resource, known.join(' '));
  const result = { login: { accountId: form.get('user') }, consent: { grantId: await grant.save() } };
  return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

async function endGrants(user) {
  for (const [name, row] of Object.entries(kept.rows)) {
    const id = name.slice('Grant:'.length);
    if (!name.startsWith('Grant:') || row.accountId !== user) continue;
    for (const model of ['AuthorizationCode', 'AccessToken', 'RefreshToken']) await new Kept(model).revokeByGrantId(id);
    delete kept.rows[name];
  }
  keep();
}

async function control(request, response) {
  const [, user] = request.url.match(/^\/control\/grants\/([\w-]+)$/) ?? [];
  if (request.method === 'DELETE' && user) await endGrants(user);
  if (request.method === 'PUT') settings.access_seconds = JSON.parse(await bodyOf(request)).access_seconds;
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(seen));
}

const serve = provider.callback();
server.on('request', (request, response) => {
  if (request.url.startsWith('/token/revocation')) seen.revoked += 1;
  if (request.url.startsWith('/control')) return control(request, response);
  if (!request.url.startsWith('/interaction/')) return serve(request, response);
  return interact(request, response).catch((error) => {
    response.writeHead(400, { 'content-type': 'text/plain' }).end(String(error));
  });
});
console.log(`ready ${issuer}`);
