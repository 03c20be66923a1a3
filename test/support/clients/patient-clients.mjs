/**
 * One question by a library of Node, as people write it, with the key where that library has it.
 *
 *     node patient-clients.mjs LIBRARY URL KEY QUESTION DIRECTORY
 *
 * Libraries come from DIRECTORY's node_modules (patient-libraries.json). Prints JSON: the `text` of the answer, or the
 * `error` of an SDK that was raised, and its `kind`. No library is told to repeat or to follow anything. Every name under
 * localhost means this machine (RFC 6761).
 */
import dns from "node:dns";
import { createRequire } from "node:module";
import { join } from "node:path";

const [library = "", url = "", key = "", question = "", directory = "."] = process.argv.slice(2);
const require = createRequire(join(directory, "package.json"));

const systemLookup = dns.lookup;
dns.lookup = (name, ...rest) =>
  systemLookup(name.endsWith(".localhost") ? "127.0.0.1" : name, ...rest);

const messages = [{ role: "user", content: "question" }];

function openAi() {
  const { default: OpenAI } = require("openai");
  return new OpenAI({ apiKey: key, baseURL: `${url}/v1` });
}

function anthropic() {
  const { default: Anthropic } = require("@anthropic-ai/sdk");
  return new Anthropic({ apiKey: key, baseURL: url });
}

const LIBRARIES = {
  async openai() {
    const completion = await openAi().chat.completions.create({ model: question, messages });
    return completion.choices[0].message.content;
  },
  async openai_stream() {
    const asked = { model: question, messages, stream: true };
    let text = "";
    for await (const chunk of await openAi().chat.completions.create(asked)) {
      text += chunk.choices[0].delta.content ?? "";
    }
    return text;
  },
  async anthropic() {
    const message = await anthropic().messages.create({ model: question, max_tokens: 9, messages });
    return message.content[0].text;
  },
  async anthropic_stream() {
    const asked = { model: question, max_tokens: 9, messages };
    return await anthropic().messages.stream(asked).finalText();
  },
  async mcp() {
    const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
    const {
      StreamableHTTPClientTransport,
    } = require("@modelcontextprotocol/sdk/client/streamableHttp.js");
    const headers = { authorization: `Bearer ${key}` };
    const transport = new StreamableHTTPClientTransport(new URL(`${url}/mcp`), {
      requestInit: { headers },
    });
    const client = new Client({ name: "test", version: "1" });
    await client.connect(transport);
    const [seconds, ...caller] = question.split(" ");
    const given = { seconds: Number(seconds), caller: caller.join(" ") };
    const asked = { name: "work", arguments: given };
    const { content } = await client.callTool(asked);
    await client.close();
    return content[0].text.replace(/^\S+ /, "");
  },
};

try {
  console.log(JSON.stringify({ text: await LIBRARIES[library]() }));
} catch (error) {
  const kinds = [require("openai").APIError, require("@anthropic-ai/sdk").APIError];
  if (!kinds.some((kind) => error instanceof kind)) throw error;
  console.log(JSON.stringify({ error: error.message, kind: error.constructor.name }));
}
