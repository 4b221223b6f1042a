// A client on the TypeScript SDK 2 (`@modelcontextprotocol/client`): does one of everything at the hub whose URL is its
// first argument, in the era its second one names (`legacy`, `auto`, or a modern version), and prints what it saw as
// one JSON object.
const { createRequire } = require('node:module');
const tools = createRequire(`${process.env.PORTKEY_MCP_TOOLS}/`);
const { Client, StreamableHTTPClientTransport } = tools('@modelcontextprotocol/client');

const SECOND = 1000;

async function main(url, mode) {
  const negotiation = { mode: ['legacy', 'auto'].includes(mode) ? mode : { pin: mode } };
  const options = { capabilities: { elicitation: {} }, versionNegotiation: negotiation };
  const client = new Client({ name: 'v2', version: '1' }, options);
  const transport = new StreamableHTTPClientTransport(new URL(url));
  const seen = {};
  client.setRequestHandler('elicitation/create', async (request) => {
    seen.question = request.params.message;
    return { action: 'accept', content: { colour: 'green' } };
  });
  let changed;
  const toolsChanged = new Promise((resolve) => (changed = resolve));
  client.setNotificationHandler('notifications/tools/list_changed', () => changed(true));

  await client.connect(transport);
  seen.version = client.getNegotiatedProtocolVersion();
  seen.session = Boolean(transport.sessionId);
  seen.tools = (await client.listTools()).tools.map((tool) => tool.name);
  seen.sum = (await client.callTool({ name: 'example__add', arguments: { a: 1, b: 2 } })).structuredContent;
  seen.progress = [];
  const onprogress = ({ progress, total }) => seen.progress.push([progress, total]);
  const countdown = { name: 'example__countdown', arguments: { start: 2, pause: 0 } };
  seen.countdown = (await client.callTool(countdown, { onprogress })).content[0].text;
  seen.answer = (await client.callTool({ name: 'example__ask', arguments: {} })).content[0].text;
  seen.resource = (await client.readResource({ uri: 'mcp+example+example://about' })).contents[0].text;
  seen.prompt = (await client.getPrompt({ name: 'notes__greet', arguments: { whom: 'Ada' } })).messages[0].content.text;
  const subscription = seen.session ? null : await client.listen({ toolsListChanged: true });
  do {
    await client.callTool({ name: 'notes__grow', arguments: { name: `grown_for_v2_${mode}` } });
    seen.toolsChanged = await Promise.race([toolsChanged, new Promise((resolve) => setTimeout(resolve, SECOND, false))]);
  } while (!seen.toolsChanged);
  seen.toolsAfter = (await client.listTools()).tools.map((tool) => tool.name);
  if (subscription) await subscription.close();
  await client.close();
  console.log(JSON.stringify(seen));
}

main(process.argv[2], process.argv[3]);
