/** Classifies errors between the agent and an app, by undici's and the system's codes. */

/** The connection was refused, or there is no such Unix socket: no byte of the request has left. */
function isRefusal({ code }: NodeJS.ErrnoException): boolean {
  return code === "ECONNREFUSED" || code === "ENOENT";
}

/**
 * No connection could be made, or the container's connections had been closed: another attempt may find the app, or
 * descriptors, there.
 */
export function isWithoutConnection(error: NodeJS.ErrnoException): boolean {
  const { code, syscall } = error;
  return (
    isRefusal(error) ||
    syscall === "connect" ||
    syscall === "getaddrinfo" ||
    code === "UND_ERR_CONNECT_TIMEOUT" ||
    code === "UND_ERR_CLOSED" ||
    code === "UND_ERR_DESTROYED" ||
    code === "EMFILE" ||
    code === "ENFILE"
  );
}

/** The other side ended the connection. */
export function isEndedByPeer({ code }: NodeJS.ErrnoException): boolean {
  return code === "ECONNRESET" || code === "EPIPE" || code === "UND_ERR_SOCKET";
}

/** Describes the error for a client, without addresses or details of the system. */
export function describeAppError(error: NodeJS.ErrnoException): string {
  if (isRefusal(error)) return "it accepts no connections";
  // undici asserts that a status has three digits.
  if (error.name === "HTTPParserError" || error.code === "ERR_ASSERTION") {
    return "its answer is not HTTP";
  }
  switch (error.code) {
    case "ECONNRESET":
    case "EPIPE":
      return "it reset the connection";
    case "UND_ERR_SOCKET":
      return "it closed the connection";
    case "UND_ERR_DESTROYED":
      return "its container was ended";
    case "UND_ERR_HEADERS_OVERFLOW":
      return "its headers are larger than 64 KiB";
    case "UND_ERR_RES_CONTENT_LENGTH_MISMATCH":
      return "its body does not have the length that it declared";
    default:
      // Our own words have no code. The system's name addresses, and how an upstream's TLS is set up.
      return error.code === undefined ? error.message : `it could not be reached (${error.code})`;
  }
}
