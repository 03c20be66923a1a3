/**
 * A streamed completion with OpenAI's SDK, as people write it. Prints JSON: its text, or the error that it raised.
 *
 *     node openai-stream.mjs BASE_URL MODEL DIRECTORY
 *
 * The SDK comes from DIRECTORY's node_modules. Every name under localhost means this machine (RFC 6761).
 */
import dns from "node:dns";
import { createRequire } from "node:module";
import { join } from "node:path";

const [baseURL = "", model = "", directory = "."] = process.argv.slice(2);
const { default: OpenAI } = createRequire(join(directory, "package.json"))("openai");

const systemLookup = dns.lookup;
dns.lookup = (name, ...rest) =>
  systemLookup(name.endsWith(".localhost") ? "127.0.0.1" : name, ...rest);

const client = new OpenAI({ apiKey: "none", baseURL, maxRetries: 0 });
try {
  const messages = [{ role: "user", content: "question" }];
  const stream = await client.chat.completions.create({ model, messages, stream: true });
  let text = "";
  for await (const chunk of stream) text += chunk.choices[0].delta.content ?? "";
  console.log(JSON.stringify({ text }));
} catch (error) {
  if (!(error instanceof OpenAI.APIError)) throw error;
  console.log(JSON.stringify({ error: error.message, kind: error.constructor.name }));
}
