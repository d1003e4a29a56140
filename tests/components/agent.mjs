// An agent that uses the official TypeScript MCP client, driven by JSON lines exactly as agent.py is.
//
//   agent.mjs [--sdk 1|2] [--era legacy|auto|modern] URL
//   agent.mjs [--sdk 1|2] [--era legacy|auto|modern] -- COMMAND…
//
// --sdk 2 (the default) is @modelcontextprotocol/client, --sdk 1 is @modelcontextprotocol/sdk, which speaks
// only the legacy era. Commands, answers and events are described in agent.py; a call may in addition have
// "reset_timeout_on_progress": true. Packages come from the folder that PLACET_TOOLS names.
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');
const problem = (error) => ({
  type: error?.name ?? typeof error,
  code: error?.code ?? null,
  message: String(error?.message ?? error),
  data: error?.data ?? null,
});

const { values: options, positionals: target } = parseArgs({
  allowPositionals: true,
  options: { sdk: { type: 'string', default: '2' }, era: { type: 'string', default: 'legacy' } },
});
const modern = '2026-07-28';
const modes = { legacy: 'legacy', auto: 'auto', modern: { pin: modern } };
if (!['1', '2'].includes(options.sdk) || !(options.era in modes) || target.length === 0) {
  throw new Error('usage: agent.mjs [--sdk 1|2] [--era legacy|auto|modern] URL | -- COMMAND…');
}
if (options.sdk === '1' && options.era !== 'legacy') throw new Error('--sdk 1 speaks only the legacy era');

const { default: load } = await import(pathToFileURL(`${process.env.PLACET_TOOLS}/node/load.mjs`));

async function connect() {
  const info = { name: `placet-test-agent-${options.sdk}`, version: '1.0.0' };
  const old = '@modelcontextprotocol/sdk/client';
  const library =
    options.sdk === '2'
      ? { ...(await load('@modelcontextprotocol/client')), ...(await load('@modelcontextprotocol/client/stdio')) }
      : {
          ...(await load(`${old}/index.js`)),
          ...(await load(`${old}/streamableHttp.js`)),
          ...(await load(`${old}/stdio.js`)),
        };
  const client = new library.Client(
    info,
    options.sdk === '2' ? { versionNegotiation: { mode: modes[options.era] } } : {},
  );
  client.fallbackNotificationHandler = async ({ method, params }) => say({ event: 'notification', method, params });
  client.onerror = (error) => process.stderr.write(`client: ${error?.message ?? error}\n`);
  const token = process.env.PLACET_TOKEN;
  const transport = /^https?:/.test(target[0])
    ? new library.StreamableHTTPClientTransport(new URL(target[0]), {
        requestInit: token ? { headers: { Authorization: `Bearer ${token}` } } : {},
      })
    : new library.StdioClientTransport({ command: target[0], args: target.slice(1), env: { ...process.env } });
  await client.connect(transport);
  const version =
    options.sdk === '2' ? client.getNegotiatedProtocolVersion() : (transport.protocolVersion ?? null);
  return { client, transport, version };
}

let connection;
try {
  connection = await connect();
} catch (error) {
  say({ event: 'failed', error: problem(error) });
  process.exit(1);
}
const { client, transport, version } = connection;
say({
  event: 'connected',
  version,
  server: client.getServerVersion() ?? null,
  instructions: client.getInstructions() ?? null,
});

const open = new Map();

async function call(command) {
  const giveUp = new AbortController();
  open.set(command.id, giveUp);
  const request = { signal: giveUp.signal };
  if (command.timeout_s !== undefined) request.timeout = command.timeout_s * 1000;
  if (command.reset_timeout_on_progress) request.resetTimeoutOnProgress = true;
  if (command.progress) {
    request.onprogress = ({ progress, total = null, message = null }) =>
      say({ event: 'progress', id: command.id, progress, total, message });
  }
  const params = { name: command.tool, arguments: command.arguments };
  if (command.meta !== undefined) params._meta = command.meta;
  try {
    return await (options.sdk === '2' ? client.callTool(params, request) : client.callTool(params, undefined, request));
  } catch (error) {
    if (giveUp.signal.aborted) {
      const gone = new Error('the call was cancelled here');
      gone.name = 'Cancelled';
      throw gone;
    }
    throw error;
  } finally {
    open.delete(command.id);
  }
}

async function listTools() {
  const tools = [];
  for (let cursor; ; ) {
    const page = await client.listTools(cursor === undefined ? undefined : { cursor });
    tools.push(...page.tools);
    // The newer client collects the pages itself.
    if (page.nextCursor === undefined) return { tools };
    cursor = page.nextCursor;
  }
}

async function run(command) {
  try {
    let result;
    if (command.do === 'list_tools') result = await listTools();
    else if (command.do === 'call') result = await call(command);
    else if (command.do === 'cancel') {
      const waiting = open.get(command.call);
      if (!waiting) throw new Error(`no call ${command.call} is open`);
      waiting.abort();
      result = {};
    } else throw new Error(`unknown command ${command.do}`);
    say({ id: command.id, ok: true, result });
  } catch (error) {
    say({ id: command.id ?? null, ok: false, error: problem(error) });
  }
}

const running = new Set();
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  if (command.do === 'close') break;
  const task = run(command).finally(() => running.delete(task));
  running.add(task);
}
for (const waiting of open.values()) waiting.abort();
await Promise.all(running);
// As a polite client does: the session is ended before the connection is dropped.
if (transport.terminateSession) await transport.terminateSession().catch((error) => client.onerror(error));
await client.close();
process.exit(0);
