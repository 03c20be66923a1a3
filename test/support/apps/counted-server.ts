/**
 * A server on $PORT that asks the test's keeper ($KEEPER) for leave to answer each request: it names its container, the
 * request's path, and how many requests it has at that moment.
 */
import { createServer } from "node:http";

const { PORT, KEEPER = "", POSTERN_CONTAINER_ID = "" } = process.env;
let held = 0;

createServer((request, response) => {
  held += 1;
  response.once("close", () => {
    held -= 1;
  });
  const query = new URLSearchParams({
    container: POSTERN_CONTAINER_ID,
    path: request.url ?? "",
    held: `${held}`,
  });
  fetch(`${KEEPER}/?${query.toString()}`, { method: "POST" }).then(
    () => response.end(`answer to ${request.url}`),
    () => response.destroy(),
  );
}).listen(Number(PORT), "127.0.0.1");
