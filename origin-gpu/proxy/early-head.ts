/**
 * Sends a request's head before the first byte of its body is there: an app may answer without reading. undici
 * writes a streamed request's head together with the first chunk. This sends the head at once, and takes it out of
 * what undici writes later. Anything else than the expected writes of undici's ends the connection.
 */
import type { Socket } from "node:net";

const CRLF = "\r\n";

/**
 * @param head request line and header lines as undici publishes them, without the line that frames the body
 * @param contentLength undefined for a chunked body
 */
export function sendHead(socket: Socket, head: string, contentLength: number | undefined): void {
  const isChunked = contentLength === undefined;
  const framing = isChunked ? "transfer-encoding: chunked" : `content-length: ${contentLength}`;
  socket.write(`${head}${framing}${CRLF}${CRLF}`, "latin1");
  /** With a first chunk; the blank line of a chunked head comes with the chunk's size. */
  const repeated = `${head}${framing}${CRLF}${isChunked ? "" : CRLF}`;
  /** Of a body that ended without a byte. */
  const ofEmptyBody = new Set([`${head}content-length: 0${CRLF}${CRLF}`, `${head}${CRLF}`]);
  const write = socket.write.bind(socket);
  let isHeadDue = true;

  const adapt = (text: unknown): string | undefined => {
    if (typeof text !== "string") return undefined;
    if (!isHeadDue) return text.startsWith(CRLF) ? text.slice(CRLF.length) : undefined;
    if (text === repeated) return "";
    return isChunked && ofEmptyBody.has(text) ? `0${CRLF}${CRLF}` : undefined;
  };

  socket.write = (text: unknown): boolean => {
    const rest = adapt(text);
    // After the head of a chunked body its first size is still to be adapted.
    if (rest === "" && isChunked) {
      isHeadDue = false;
      return true;
    }
    socket.write = write;
    if (rest === undefined) socket.destroy(new Error("undici wrote a head that was not expected"));
    else if (rest !== "") return write(rest, "latin1");
    return true;
  };
}
