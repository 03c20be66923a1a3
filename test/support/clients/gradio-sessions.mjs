/**
 * Sessions with @gradio/client in Node, all at once: each goes through the functions of apps/gradio_app.py.
 *
 *     node gradio-sessions.mjs URL COUNT DIRECTORY
 *
 * The library comes from DIRECTORY's node_modules (node-libraries.json). Prints a JSON list with one object
 * for each session: `places`, the processes that served it, or `failure`. Every name under localhost means this
 * machine (RFC 6761).
 */
import { randomUUID } from "node:crypto";
import dns from "node:dns";
import { createRequire } from "node:module";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { pathToFileURL } from "node:url";

const TIMEOUT_MS = 60_000;
/** The stream of jobs that have ended closes sooner. */
const REST_MS = 2_000;

const systemLookup = dns.lookup;
dns.lookup = (name, ...rest) =>
  systemLookup(name.endsWith(".localhost") ? "127.0.0.1" : name, ...rest);

const [url = "", count = "1", directory = "."] = process.argv.slice(2);
const require = createRequire(join(directory, "package.json"));
const module = require.resolve("@gradio/client").replace(/index\.cjs$/, "index.js");
const { Client, handle_file: handleFile } = await import(pathToFileURL(module).href);

function expect(isSo, what) {
  if (!isSo) throw new Error(what);
}

/** The last data of a job, and how many it had; `onMessage` sees each message on its way. */
async function results(job, onMessage = async (_message) => {}) {
  let last;
  let parts = 0;
  for await (const message of job) {
    if (message.type === "status" && message.stage === "error") throw new Error(message.message);
    if (message.type === "data") {
      last = message.data;
      parts += 1;
    }
    await onMessage(message);
  }
  return { last, parts };
}

async function session(number) {
  const client = await Client.connect(url, { events: ["data", "status"] });
  const places = [];
  const seen = (answer, ...rest) => {
    const [place, ...said] = answer.split(" ");
    places.push(place);
    expect(said.join(" ") === rest.join(" "), `${answer} instead of ${rest.join(" ")}`);
  };
  /** A job that is named while the client's stream closes is lost, without Postern too, as in a page. */
  const rest = async () => {
    const end = performance.now() + REST_MS;
    while (client.stream_status.open && performance.now() < end) await delay(10);
  };
  const ask = async (endpoint, ...args) => {
    const { last } = await results(client.submit(endpoint, args));
    return last?.[0];
  };
  for (const counted of ["1", "2", "3"]) {
    await rest();
    seen(await ask("/count"), counted);
  }
  await rest();
  const streamed = await results(client.submit("/stream", []));
  seen(streamed.last[0], "part", "4");
  await rest();
  const file = new File([`content-${number}`], `note-${number}.txt`, { type: "text/plain" });
  const stamped = await ask("/stamp", handleFile(file));
  const downloaded = await fetch(stamped.url);
  seen(await downloaded.text(), `content-${number}`);
  const name = randomUUID();
  await rest();
  let isFinished = false;
  const working = await results(client.submit("/work", [name]), async (message) => {
    if (isFinished || !message.progress_data?.length) return;
    isFinished = true;
    seen(await ask("/finish", name), "finishes");
  });
  expect(isFinished, "no progress of a job");
  seen(working.last[0], "worked");
  await rest();
  const held = client.submit("/hold", [name]);
  for await (const message of held) {
    if (message.type !== "data") continue;
    seen(message.data[0], "holds");
    break;
  }
  seen(await ask("/holding", name), "holds");
  await held.cancel();
  while (!(await ask("/holding", name)).endsWith(" free")) await delay(100);
  await rest();
  seen(await ask("/count"), "4");
  client.close();
  return places;
}

async function outcome(number) {
  const late = AbortSignal.timeout(TIMEOUT_MS);
  const isLate = new Promise((_resolve, reject) => {
    late.addEventListener("abort", () => reject(new Error("hangs")));
  });
  try {
    return { places: await Promise.race([session(number), isLate]) };
  } catch (error) {
    return { failure: String(error?.message ?? error) };
  }
}

const outcomes = await Promise.all(
  Array.from({ length: Number(count) }, (_, number) => outcome(number)),
);
console.log(JSON.stringify(outcomes));
// Streams of lost sessions never end, and neither would this process.
process.exit(0);
