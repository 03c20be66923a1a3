/**
 * Sessions with socket.io-client in Node, all at once, at apps/socket_io_app.py.
 *
 *     node socket-io-sessions.mjs URL COUNT DIRECTORY TRANSPORTS
 *
 * TRANSPORTS is a list with commas; with `polling,websocket` a session begins by polling and is upgraded. The library
 * comes from DIRECTORY's node_modules (node-libraries.json). Prints a JSON list with one object for each session:
 * `places`, the processes that served it, or `failure`. Every name under localhost means this machine (RFC 6761).
 */
import dns from "node:dns";
import { createRequire } from "node:module";
import { join } from "node:path";

const TIMEOUT_MS = 30_000;

const systemLookup = dns.lookup;
dns.lookup = (name, ...rest) =>
  systemLookup(name.endsWith(".localhost") ? "127.0.0.1" : name, ...rest);

const [url = "", count = "1", directory = ".", list = "polling"] = process.argv.slice(2);
const transports = list.split(",");
const { io } = createRequire(join(directory, "package.json"))("socket.io-client");

function expect(isSo, what) {
  if (!isSo) throw new Error(what);
}

async function session(socket) {
  const places = [];
  const ask = async (...args) => await socket.timeout(TIMEOUT_MS).emitWithAck(...args);
  const counted = async (number, transport) => {
    const [place, by, said] = (await ask("count")).split(" ");
    places.push(place);
    expect(said === String(number), `${said} instead of ${number}`);
    expect(transport === undefined || by === transport, `${by} instead of ${transport}`);
  };
  const failed = new Promise((_resolve, reject) => {
    socket.once("connect_error", reject);
    socket.once("disconnect", (reason) => reject(new Error(reason)));
  });
  const upgraded = new Promise((resolve) => {
    if (transports.length === 1) resolve();
    else socket.io.engine.once("upgrade", resolve);
  });
  const steps = async () => {
    await new Promise((resolve) => {
      socket.once("connect", resolve);
    });
    for (const number of [1, 2, 3]) await counted(number);
    await upgraded;
    await counted(4, transports.at(-1));
    const bytes = Buffer.alloc(100_000, "x");
    const echoed = new Promise((resolve) => {
      socket.once("echoed", resolve);
    });
    places.push(await ask("echo", bytes));
    expect(bytes.equals(Buffer.from(await echoed)), "other bytes");
    return places;
  };
  return await Promise.race([steps(), failed]);
}

async function outcome() {
  const socket = io(url, { transports, forceNew: true, timeout: TIMEOUT_MS, reconnection: false });
  const late = new Promise((_resolve, reject) => {
    setTimeout(() => reject(new Error("hangs")), TIMEOUT_MS).unref();
  });
  try {
    return { places: await Promise.race([session(socket), late]) };
  } catch (error) {
    return { failure: String(error?.message ?? error) };
  } finally {
    socket.disconnect();
  }
}

console.log(JSON.stringify(await Promise.all(Array.from({ length: Number(count) }, outcome))));
process.exit(0);
