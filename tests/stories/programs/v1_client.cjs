// A client on the TypeScript SDK 1.x (`@modelcontextprotocol/sdk`): does one of everything at the hub whose URL is its
// argument, and prints what it saw as one JSON object. It speaks 2025-11-25, with a standing GET stream.
const { createRequire } = require('node:module');
const tools = createRequire(`${process.env.PORTKEY_MCP_TOOLS}/`);
const { Client } = tools('@modelcontextprotocol/sdk/client/index.js');
const { StreamableHTTPClientTransport } = tools('@modelcontextprotocol/sdk/client/streamableHttp.js');
const types = tools('@modelcontextprotocol/sdk/types.js');

const SECOND = 1000;

async function main(url) {
  const client = new Client({ name: 'v1', version: '1' }, { capabilities: { elicitation: {} } });
  const transport = new StreamableHTTPClientTransport(new URL(url));
  client.setRequestHandler(types.ElicitRequestSchema, async (request) => {
    seen.question = request.params.message;
    return { action: 'accept', content: { colour: 'green' } };
  });
  let changed;
  const toolsChanged = new Promise((resolve) => (changed = resolve));
  client.setNotificationHandler(types.ToolListChangedNotificationSchema, () => changed(true));

  const seen = {};
  await client.connect(transport);
  seen.version = transport.protocolVersion;
  seen.session = Boolean(transport.sessionId);
  seen.tools = (await client.listTools()).tools.map((tool) => tool.name);
  seen.sum = (await client.callTool({ name: 'example__add', arguments: { a: 1, b: 2 } })).structuredContent;
  seen.progress = [];
  const onprogress = ({ progress, total }) => seen.progress.push([progress, total]);
  const countdown = { name: 'example__countdown', arguments: { start: 2, pause: 0 } };
  seen.countdown = (await client.callTool(countdown, undefined, { onprogress })).content[0].text;
  seen.answer = (await client.callTool({ name: 'example__ask', arguments: {} })).content[0].text;
  seen.resource = (await client.readResource({ uri: 'mcp+example+example://about' })).contents[0].text;
  seen.prompt = (await client.getPrompt({ name: 'notes__greet', arguments: { whom: 'Ada' } })).messages[0].content.text;
  do {
    // Nothing says when the standing stream is open, so the change is made until it is heard of.
    await client.callTool({ name: 'notes__grow', arguments: { name: 'grown_for_v1' } });
    seen.toolsChanged = await Promise.race([toolsChanged, new Promise((resolve) => setTimeout(resolve, SECOND, false))]);
  } while (!seen.toolsChanged);
  seen.toolsAfter = (await client.listTools()).tools.map((tool) => tool.name);
  await transport.terminateSession();
  await client.close();
  console.log(JSON.stringify(seen));
}

main(process.argv[2]);
