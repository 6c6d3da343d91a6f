// A server made with the official TypeScript SDK, for the end-to-end tests: of its line 1
// (`@modelcontextprotocol/sdk`) or 2 (`@modelcontextprotocol/server`), as the first
// argument says. It listens on a free port of 127.0.0.1 and prints one line on standard
// output once it accepts connections: URL http://127.0.0.1:PORT/mcp
//
// `--stateless`: without sessions. `--json`: JSON rather than event streams. Line 2 serves
// both eras, line 1 sessions only. `GET /stats` tells how many tool calls reached a
// handler, how many elicitations were accepted, and how many notifications of progress
// were sent. It ends with its standard input. The packages are in the folder that is the
// second argument.

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [line, folder, ...flags] = process.argv.slice(2);
const isStateless = flags.includes("--stateless");
const isJson = flags.includes("--json");
const packages = createRequire(`${folder}/package.json`);
const load = (name) => import(pathToFileURL(packages.resolve(name)));

const z = await load("zod");
const calls = { calls: 0, in_flight: 0, in_flight_max: 0, accepted: 0, progress: 0 };

/** Counts a call inside its handler. */
const counted = (handler) => async (given, call) => {
  calls.calls += 1;
  calls.in_flight += 1;
  calls.in_flight_max = Math.max(calls.in_flight_max, calls.in_flight);
  try {
    return await handler(given, call);
  } finally {
    calls.in_flight -= 1;
  }
};
const text = (text) => ({ content: [{ type: "text", text }] });
const after = (ms) => new Promise((done) => setTimeout(done, ms));

/** The same tools as the other SDKs' test servers have. */
function addTools(server) {
  const tool = (name, description, shape, handler) => {
    const inputSchema = line === "1" ? shape : z.object(shape);
    server.registerTool(name, { description, inputSchema }, counted(handler));
  };
  tool("echo", "Says the text again", { text: z.string() }, async (given) => text(given.text));
  tool("sleep", "Takes as long as it is told", { ms: z.number().int() }, async ({ ms }) => {
    await after(ms);
    return text(`slept ${ms} ms`);
  });
  tool("stepwise", "Tells of each of its steps", { steps: z.number().int() }, async (given, call) => {
    const of = line === "1" ? call : call.mcpReq;
    const notify = line === "1" ? call.sendNotification : call.mcpReq.notify;
    const progressToken = of._meta?.progressToken;
    for (let progress = 1; progress <= Math.min(given.steps, 100); progress += 1) {
      const params = { progressToken, progress, total: given.steps };
      await notify({ method: "notifications/progress", params });
      calls.progress += 1;
      await after(5);
    }
    return text(`${given.steps} steps`);
  });
  tool("ask", "Asks for a name", {}, async (_, call) => {
    const properties = { name: { type: "string" } };
    const requestedSchema = { type: "object", properties, required: ["name"] };
    const form = { message: "Who is there?", requestedSchema };
    // On the stream of the call, not on the session's own.
    const relatedRequestId = line === "1" ? call.requestId : call.mcpReq.id;
    const answer = await server.server.elicitInput(form, { relatedRequestId });
    calls.accepted += Number(answer.action === "accept");
    return text(answer.action);
  });
  return server;
}

const about = { name: "typescript-test-server", version: "9.8.7" };
/** The transports of open sessions, by their ids. */
const sessions = new Map();

/** Serves what has sessions, and line 1 without: a transport each. */
function legacyHandler(Server, Transport) {
  const open = async () => {
    const server = addTools(new Server(about));
    const transport = new Transport({
      sessionIdGenerator: isStateless ? undefined : randomUUID,
      enableJsonResponse: isJson,
      onsessioninitialized: (id) => sessions.set(id, transport),
      onsessionclosed: (id) => sessions.delete(id),
    });
    await server.connect(transport);
    return { server, transport };
  };
  return async (request, response, body) => {
    const known = sessions.get(request.headers["mcp-session-id"]);
    if (known) return known.handleRequest(request, response, body);
    if (request.headers["mcp-session-id"]) {
      response.writeHead(404).end();
      return undefined;
    }
    const { server, transport } = await open();
    // A transport without sessions serves one request.
    if (isStateless) response.on("close", () => server.close());
    return transport.handleRequest(request, response, body);
  };
}

async function handlerOfLine1() {
  const { McpServer } = await load("@modelcontextprotocol/sdk/server/mcp.js");
  const http = await load("@modelcontextprotocol/sdk/server/streamableHttp.js");
  return legacyHandler(McpServer, http.StreamableHTTPServerTransport);
}

async function handlerOfLine2() {
  const { McpServer, createMcpHandler, isLegacyRequest } = await load(
    "@modelcontextprotocol/server",
  );
  const node = await load("@modelcontextprotocol/node");
  const factory = () => addTools(new McpServer(about));
  const responseMode = isJson ? "json" : "sse";
  const both = createMcpHandler(factory, { responseMode });
  if (isStateless) return node.toNodeHandler(both);
  const modern = node.toNodeHandler(createMcpHandler(factory, { legacy: "reject", responseMode }));
  const legacy = legacyHandler(McpServer, node.NodeStreamableHTTPServerTransport);
  return async (request, response) => {
    const body = request.method === "POST" ? JSON.parse(await read(request)) : undefined;
    // What answers a request of the server's tells no era.
    const isOfSession = "mcp-session-id" in request.headers;
    const isLegacy =
      isOfSession || (await isLegacyRequest(await node.toWebRequest(request, body)));
    return (isLegacy ? legacy : modern)(request, response, body);
  };
}

const read = async (request) => {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return Buffer.concat(pieces).toString();
};

const handler = await (line === "1" ? handlerOfLine1() : handlerOfLine2());
const server = createServer((request, response) => {
  if (request.url === "/stats") {
    response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(calls));
    return;
  }
  handler(request, response).catch((error) => {
    console.error(error);
    if (!response.headersSent) response.writeHead(500);
    response.end();
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => {
  console.log(`URL http://127.0.0.1:${server.address().port}/mcp`);
});
process.stdin.on("end", () => process.exit()).resume();
