// A client on the TypeScript SDK that its first argument names (1 or 2), which signs in at the server whose URL is its
// second, calls the tool of its third with the JSON arguments of its fourth, and prints JSON lines: `{"open": URL}` when
// a person is to open that URL, in the end one object with what it saw.
const { createServer } = require('node:http');
const { once } = require('node:events');
const { randomUUID } = require('node:crypto');
const { createRequire } = require('node:module');
const tools = createRequire(`${process.env.PORTKEY_MCP_TOOLS}/`);

function sdkOf(version) {
  if (version === '2') return tools('@modelcontextprotocol/client');
  return {
    ...tools('@modelcontextprotocol/sdk/client/index.js'),
    ...tools('@modelcontextprotocol/sdk/client/streamableHttp.js'),
    ...tools('@modelcontextprotocol/sdk/client/auth.js'),
  };
}

const say = (what) => console.log(JSON.stringify(what));

// What the SDK asks of whoever embeds it (`OAuthClientProvider`), kept in memory.
class Keeping {
  constructor(redirectUrl, name) {
    this.redirectUrl = redirectUrl;
    this.clientMetadata = {
      client_name: name,
      redirect_uris: [redirectUrl],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    };
    this.asked = 0;
  }
  state() {
    return (this.sent = randomUUID());
  }
  clientInformation() {
    return this.client;
  }
  saveClientInformation(client) {
    this.client = client;
  }
  tokens() {
    return this.kept;
  }
  saveTokens(tokens) {
    this.kept = tokens;
  }
  redirectToAuthorization(url) {
    this.asked += 1;
    say({ open: String(url) });
  }
  saveCodeVerifier(verifier) {
    this.verifier = verifier;
  }
  codeVerifier() {
    return this.verifier;
  }
}

// Waits for the browser to come back; resolves with the parameters it brought.
async function callback() {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const answer = new Promise((resolve) => {
    server.on('request', (request, response) => {
      const { pathname, searchParams } = new URL(request.url, 'http://127.0.0.1');
      if (pathname === '/callback') resolve(searchParams);
      response.writeHead(pathname === '/callback' ? 200 : 404, { 'content-type': 'text/html', connection: 'close' });
      response.end('<!doctype html><link rel=icon href="data:,"><h1>You may close this window.</h1>');
    });
  });
  return { url: `http://127.0.0.1:${server.address().port}/callback`, answer, server };
}

async function main(version, url, tool, args) {
  const sdk = sdkOf(version);
  const waiting = await callback();
  const keeping = new Keeping(waiting.url, `TypeScript SDK ${version}`);
  const connected = async () => {
    const options = version === '2' ? { versionNegotiation: { mode: 'auto' } } : {};
    const client = new sdk.Client({ name: 'signing-in', version: '1' }, options);
    const transport = new sdk.StreamableHTTPClientTransport(new URL(url), { authProvider: keeping });
    try {
      await client.connect(transport);
    } catch (error) {
      if (!(error instanceof sdk.UnauthorizedError)) throw error;
      const came = await waiting.answer;
      seen.sent = [...came.keys()];
      if (!came.has('code') || came.get('state') !== keeping.sent) throw new Error(`came back with ${came}`);
      await transport.finishAuth(version === '2' ? came : came.get('code'));
      return connected();
    }
    return client;
  };

  const seen = {};
  let client = await connected();
  seen.tools = (await client.listTools()).tools.map(({ name }) => name);
  seen.result = await client.callTool({ name: tool, arguments: JSON.parse(args) });
  seen.granted = keeping.kept.scope;
  seen.client = keeping.client;
  const { refresh_token: first } = keeping.kept;
  keeping.kept = { ...keeping.kept, access_token: 'spoilt' };
  const again = await client.callTool({ name: tool, arguments: JSON.parse(args) });
  seen.refreshed = keeping.asked === 1 && JSON.stringify(again) === JSON.stringify(seen.result);
  seen.rotated = keeping.kept.refresh_token !== first;
  await client.close();
  waiting.server.close();
  say(seen);
}

main(...process.argv.slice(2));
