/**
 * One POST with a client library of Node, as people write it, and what came of it.
 *
 *     node client.mjs LIBRARY URL DIRECTORY
 *
 * Libraries come from DIRECTORY's node_modules (node-libraries.json), which is why this is
 * no TypeScript: their types are not there where the project's are checked. Prints JSON: the status and
 * the text of the last answer. Every name under localhost means this machine (RFC 6761).
 */
import dns from "node:dns";
import { createRequire } from "node:module";
import { join } from "node:path";

const [library = "", url = "", directory = "."] = process.argv.slice(2);
const require = createRequire(join(directory, "package.json"));

const systemLookup = dns.lookup;
dns.lookup = (name, ...rest) =>
  systemLookup(name.endsWith(".localhost") ? "127.0.0.1" : name, ...rest);

const LIBRARIES = {
  async fetch() {
    const response = await fetch(url, { method: "POST", body: "question" });
    return { status: response.status, text: await response.text() };
  },
  async axios() {
    const { default: axios } = require("axios");
    const { status, data } = await axios.post(url, "question", { responseType: "text" });
    return { status, text: typeof data === "string" ? data : JSON.stringify(data) };
  },
  async openai() {
    const { default: OpenAI } = require("openai");
    const { origin, searchParams } = new URL(url);
    const client = new OpenAI({ apiKey: "none", baseURL: `${origin}/v1` });
    let completion;
    try {
      completion = await client.chat.completions.create(
        { model: "slow", messages: [{ role: "user", content: "question" }] },
        { query: Object.fromEntries(searchParams) },
      );
    } catch (error) {
      if (!(error instanceof OpenAI.APIError) || error.status === undefined) throw error;
      return { status: error.status, text: error.message };
    }
    if (completion.choices === undefined) return { status: 202, text: JSON.stringify(completion) };
    return { status: 200, text: completion.choices[0].message.content };
  },
};

console.log(JSON.stringify(await LIBRARIES[library]()));
