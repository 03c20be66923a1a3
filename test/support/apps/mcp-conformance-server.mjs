/**
 * A server of MCP on $PORT with all that MCP's conformance suite asks of one, by the official SDK for TypeScript, which
 * comes from $LIBRARIES. It keeps its sessions and their events, as a server does that clients come back to.
 */
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

const { PORT, LIBRARIES = "." } = process.env;
const require = createRequire(join(LIBRARIES, "package.json"));
const { Server } = require("@modelcontextprotocol/sdk/server/index.js");
const {
  StreamableHTTPServerTransport,
} = require("@modelcontextprotocol/sdk/server/streamableHttp.js");
const types = require("@modelcontextprotocol/sdk/types.js");

/** The smallest picture, and the smallest sound. */
const PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
const WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=";

const text = (said) => ({ type: "text", text: said });
const image = { type: "image", data: PNG, mimeType: "image/png" };
const audio = { type: "audio", data: WAV, mimeType: "audio/wav" };
const embedded = (uri, said = "This is an embedded resource content.") => ({
  type: "resource",
  resource: { uri, mimeType: "text/plain", text: said },
});
const objectOf = (properties = {}, required = []) => ({ type: "object", properties, required });
const STRING = { type: "string" };

const enums = (names, titles) => ({
  untitledSingle: { type: "string", enum: names },
  titledSingle: {
    type: "string",
    oneOf: names.map((name, index) => ({ const: name, title: titles[index] })),
  },
  legacyEnum: { type: "string", enum: names, enumNames: titles },
  untitledMulti: { type: "array", items: { type: "string", enum: names } },
  titledMulti: {
    type: "array",
    items: { anyOf: names.map((name, index) => ({ const: name, title: titles[index] })) },
  },
});

/** Each tool: its schema, and its answer to the arguments and the request's own channel to the client. */
const TOOLS = {
  test_simple_text: [objectOf(), () => [text("This is a simple text response for testing.")]],
  test_image_content: [objectOf(), () => [image]],
  test_audio_content: [objectOf(), () => [audio]],
  test_embedded_resource: [objectOf(), () => [embedded("test://embedded-resource")]],
  test_multiple_content_types: [
    objectOf(),
    () => [text("Multiple content types test:"), image, embedded("test://mixed-content-resource")],
  ],
  test_tool_with_logging: [
    objectOf(),
    async (_given, { sendNotification }) => {
      for (const data of ["Tool execution started", "Tool processing data", "Tool completed"]) {
        await sendNotification({
          method: "notifications/message",
          params: { level: "info", data },
        });
        await delay(50);
      }
      return [text("logged")];
    },
  ],
  test_tool_with_progress: [
    objectOf(),
    async (_given, { sendNotification, _meta }) => {
      for (const progress of [0, 50, 100]) {
        await sendNotification({
          method: "notifications/progress",
          params: { progressToken: _meta?.progressToken, progress, total: 100 },
        });
        await delay(50);
      }
      return [text(String(_meta?.progressToken))];
    },
  ],
  test_error_handling: [
    objectOf(),
    () => {
      throw new Error("This tool intentionally returns an error for testing");
    },
  ],
  test_sampling: [
    objectOf({ prompt: STRING }, ["prompt"]),
    async ({ prompt }, { sendRequest }) => {
      const messages = [{ role: "user", content: text(prompt) }];
      const asked = { method: "sampling/createMessage", params: { messages, maxTokens: 100 } };
      const { content } = await sendRequest(asked, types.CreateMessageResultSchema);
      return [text(`LLM response: ${content.text}`)];
    },
  ],
  test_elicitation: [
    objectOf({ message: STRING }, ["message"]),
    async ({ message }, channel) =>
      await elicit(channel, message, objectOf({ username: STRING, email: STRING }, ["username"])),
  ],
  test_elicitation_sep1034_defaults: [
    objectOf(),
    async (_given, channel) =>
      await elicit(
        channel,
        "Please review and update the form fields with defaults",
        objectOf({
          name: { type: "string", default: "John Doe" },
          age: { type: "integer", default: 30 },
          score: { type: "number", default: 95.5 },
          status: { type: "string", enum: ["active", "inactive", "pending"], default: "active" },
          verified: { type: "boolean", default: true },
        }),
      ),
  ],
  test_elicitation_sep1330_enums: [
    objectOf(),
    async (_given, channel) =>
      await elicit(
        channel,
        "Please select",
        objectOf(enums(["option1", "option2", "option3"], ["One", "Two", "Three"])),
      ),
  ],
  json_schema_2020_12_tool: [
    {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      type: "object",
      $defs: { address: objectOf({ street: STRING, city: STRING }) },
      properties: { name: STRING, address: { $ref: "#/$defs/address" } },
      additionalProperties: false,
    },
    () => [text("valid")],
  ],
  test_reconnection: [
    objectOf(),
    async (_given, { closeSSEStream }) => {
      // The client comes back for the answer (SEP-1699).
      closeSSEStream?.();
      await delay(100);
      return [text("reconnected")];
    },
  ],
};

async function elicit({ sendRequest }, message, requestedSchema) {
  const params = { mode: "form", message, requestedSchema };
  const asked = { method: "elicitation/create", params };
  const { action, content } = await sendRequest(asked, types.ElicitResultSchema);
  return [text(`User response: action=${action}, content=${JSON.stringify(content ?? {})}`)];
}

const RESOURCES = {
  "test://static-text": { mimeType: "text/plain", text: "This is the content of the static text." },
  "test://static-binary": { mimeType: "image/png", blob: PNG },
  "test://watched-resource": { mimeType: "text/plain", text: "Watched resource content" },
};

const said = (content) => ({ role: "user", content });
const ARGUMENT = (name) => ({ name, description: name, required: true });

const PROMPTS = {
  test_simple_prompt: [[], () => [said(text("This is a simple prompt for testing."))]],
  test_prompt_with_arguments: [
    [ARGUMENT("arg1"), ARGUMENT("arg2")],
    ({ arg1, arg2 }) => [said(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`))],
  ],
  test_prompt_with_embedded_resource: [
    [ARGUMENT("resourceUri")],
    ({ resourceUri }) => [said(embedded(resourceUri)), said(text("Please process it."))],
  ],
  test_prompt_with_image: [[], () => [said(image), said(text("Please analyze the image."))]],
};

function readResource(uri) {
  const known = RESOURCES[uri];
  if (known !== undefined) return { uri, ...known };
  const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1];
  if (id === undefined) throw new types.McpError(-32_002, "no such resource");
  const data = JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` });
  return { uri, mimeType: "application/json", text: data };
}

function newServer() {
  const capabilities = {
    tools: {},
    resources: { subscribe: true },
    prompts: {},
    logging: {},
    completions: {},
  };
  const server = new Server({ name: "conformance", version: "1.0.0" }, { capabilities });
  const on = (schema, answer) => server.setRequestHandler(schema, answer);
  on(types.ListToolsRequestSchema, () => ({
    tools: Object.entries(TOOLS).map(([name, [inputSchema]]) => ({
      name,
      description: name,
      inputSchema,
    })),
  }));
  on(types.CallToolRequestSchema, async ({ params }, channel) => {
    const tool = TOOLS[params.name];
    if (tool === undefined) throw new types.McpError(-32_602, "no such tool");
    try {
      return { content: await tool[1](params.arguments ?? {}, channel) };
    } catch (error) {
      return { content: [text(error.message)], isError: true };
    }
  });
  on(types.ListResourcesRequestSchema, () => ({
    resources: Object.entries(RESOURCES).map(([uri, { mimeType }]) => ({
      uri,
      name: uri,
      description: uri,
      mimeType,
    })),
  }));
  on(types.ListResourceTemplatesRequestSchema, () => ({
    resourceTemplates: [{ uriTemplate: "test://template/{id}/data", name: "template" }],
  }));
  on(types.ReadResourceRequestSchema, ({ params }) => ({ contents: [readResource(params.uri)] }));
  on(types.SubscribeRequestSchema, () => ({}));
  on(types.UnsubscribeRequestSchema, () => ({}));
  on(types.ListPromptsRequestSchema, () => ({
    prompts: Object.entries(PROMPTS).map(([name, [given]]) => ({
      name,
      description: name,
      arguments: given,
    })),
  }));
  on(types.GetPromptRequestSchema, ({ params }) => ({
    messages: PROMPTS[params.name][1](params.arguments ?? {}),
  }));
  on(types.CompleteRequestSchema, () => ({ completion: { values: [], total: 0, hasMore: false } }));
  on(types.SetLevelRequestSchema, () => ({}));
  return server;
}

/** The events of a session's streams, so that a client that lost one reads on. */
function newEventStore() {
  const events = [];
  return {
    async storeEvent(streamId, message) {
      events.push({ streamId, message });
      return `${streamId}#${events.length}`;
    },
    async getStreamIdForEventId(eventId) {
      return eventId.split("#")[0];
    },
    async replayEventsAfter(lastEventId, { send }) {
      const [streamId, at] = lastEventId.split("#");
      for (let index = Number(at); index < events.length; index += 1) {
        const event = events[index];
        if (event.streamId === streamId) await send(`${streamId}#${index + 1}`, event.message);
      }
      return streamId;
    },
  };
}

const sessions = new Map();

async function transportOf(request) {
  const known = sessions.get(request.headers["mcp-session-id"]);
  if (known !== undefined) return known;
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    eventStore: newEventStore(),
    retryInterval: 500,
    onsessioninitialized: (id) => void sessions.set(id, transport),
  });
  await newServer().connect(transport);
  return transport;
}

/** As the specification asks of a server on a loopback address: it serves local names alone. */
function isLocal({ headers: { host = "", origin } }) {
  const isLoopback = (authority) => /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(authority);
  return (
    isLoopback(host) && (origin === undefined || isLoopback(origin.replace(/^https?:\/\//, "")))
  );
}

async function answer(request, response) {
  if (isLocal(request)) await (await transportOf(request)).handleRequest(request, response);
  else response.writeHead(403).end();
}

createServer((request, response) => void answer(request, response)).listen(
  Number(PORT),
  "127.0.0.1",
);
