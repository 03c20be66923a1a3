/**
 * Counts the requests of each session, which its clients name in the header `x-session`, in memory alone: another process
 * begins at 1 again.
 */
import { createServer } from "node:http";

const counts = new Map<string, number>();
const { PORT, POSTERN_BOX: box, POSTERN_VERSION: version } = process.env;
createServer((request, response) => {
  const session = String(request.headers["x-session"]);
  const count = (counts.get(session) ?? 0) + 1;
  counts.set(session, count);
  response.setHeader("content-type", "application/json");
  response.end(
    JSON.stringify({ place: `${box}/${process.pid}`, pid: process.pid, version, count }),
  );
}).listen(Number(PORT), "127.0.0.1");
