/**
 * A server on $PORT as Ollama, Vite and JupyterLab are: it refuses each Host but its own, $OWN_HOST, and a page of
 * another Origin. It tells which it saw, and the words of its command. `/go` redirects to a full URL.
 */
import { createServer, type IncomingMessage } from "node:http";

const PORT = Number(process.env["PORT"]);
const OWN_HOST = process.env["OWN_HOST"] ?? `localhost:${PORT}`;

function judge({
  headers,
  url,
}: IncomingMessage): [status: number, text: string, location?: string] {
  const { host, origin } = headers;
  const seen = JSON.stringify({ host, origin, words: process.argv.slice(2) });
  const isOwn = origin === undefined || URL.parse(origin)?.host === OWN_HOST;
  if (host !== OWN_HOST || !isOwn) return [403, seen];
  return url === "/go" ? [307, seen, `http://${host}/there?x=1`] : [200, seen];
}

createServer((request, response) => {
  const [status, text, location] = judge(request);
  response.writeHead(status, location === undefined ? {} : { location }).end(text);
})
  .on("upgrade", (request, socket) => {
    const [status, text] = judge(request);
    // It has no WebSockets: a page that may ask is told so.
    const answered = status === 200 ? 426 : status;
    socket.end(`HTTP/1.1 ${answered} x\r\ncontent-length: ${text.length}\r\n\r\n${text}`);
  })
  .listen(PORT, "127.0.0.1");
