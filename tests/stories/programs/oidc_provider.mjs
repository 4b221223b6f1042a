// npm's `oidc-provider` as a program: an OpenID provider with one client, which must use PKCE, and the people of its
// second argument. Arguments: the client as JSON (its members as in registration), the people as JSON by their `sub`.
// It prints `ready URL`, the URL being its issuer, when it accepts connections. Its pages take any password.
// `PUT /people/SUB` makes or changes somebody: the body are their claims as JSON.
import { createServer } from 'node:http';
import { once } from 'node:events';
import { generateKeyPairSync } from 'node:crypto';
import { pathToFileURL } from 'node:url';

const { default: Provider } = await import(pathToFileURL(`${process.env.PORTKEY_MCP_TOOLS}/node_modules/oidc-provider/lib/index.js`));

const [client, people] = process.argv.slice(2).map((text) => JSON.parse(text));
const server = createServer().listen(0, '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

const provider = new Provider(issuer, {
  clients: [{ id_token_signed_response_alg: 'ES256', ...client }],
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'first', alg: 'ES256', use: 'sig' }] },
  cookies: { keys: ['of the tests'] },
  pkce: { required: () => true },
  // What somebody is goes into the ID token too, not only into what `/me` answers.
  conformIdTokenClaims: false,
  scopes: ['openid', 'email', 'profile', 'groups'],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
  findAccount: (_, sub) => (people[sub] ? { accountId: sub, claims: () => ({ sub, ...people[sub] }) } : undefined),
});
const serve = provider.callback();
server.on('request', async (request, response) => {
  const [, sub] = request.url.match(/^\/people\/([\w-]+)$/) ?? [];
  if (request.method !== 'PUT' || !sub) return serve(request, response);
  let text = '';
  for await (const part of request) text += part;
  people[sub] = JSON.parse(text);
  response.writeHead(204).end();
});
console.log(`ready ${issuer}`);
