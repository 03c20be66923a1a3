/**
 * A server that prints what it is asked to: the text of `/print?text`, and 100 MB as fast as it can at `/flood`, which
 * is answered when all of it is written, and ends with the line "flooded". `/hold?file` is answered when the file is
 * there, and anything else at once.
 */
import { existsSync, writeSync } from "node:fs";
import { createServer } from "node:http";

const LINES_PER_WRITE = 10_000;
const LINE = `${"x".repeat(99)}\n`;
const FLOOD_BYTES = 100_000_000;

const piece = LINE.repeat(LINES_PER_WRITE);

createServer((request, response) => {
  const { pathname, search } = new URL(request.url ?? "/", "http://app");
  const argument = decodeURIComponent(search.slice(1));
  if (pathname === "/print") console.log(argument);
  if (pathname === "/flood") {
    for (let written = 0; written < FLOOD_BYTES; written += piece.length) writeWhole(piece);
    writeWhole("flooded\n");
  }
  if (pathname !== "/hold") {
    response.end("ok");
    return;
  }
  const waiting = setInterval(() => {
    if (!existsSync(argument)) return;
    clearInterval(waiting);
    response.end("ok");
  }, 20);
}).listen(Number(process.env["PORT"]), "127.0.0.1", () => console.log("listening"));

/** Its stdout is a pipe that does not block: whoever reads it is waited for. */
function writeWhole(text: string): void {
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}
