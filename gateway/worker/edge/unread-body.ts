/** Refusals that come before a request's body was read, on a self-hosted gateway. */
import { NetworkCounts } from "../../../routing/client-network.ts";
import { drainBody } from "../../contracts/drained-body.ts";

/** The client of a request whose body nobody has read. */
interface UnreadClient {
  /** Undefined where many clients share its address. */
  readonly address: string | undefined;
  readonly signal: AbortSignal;
}

/** Statuses whose responses can have no body, so that nothing can delay their end (Fetch, "null body status"). */
const BODILESS: ReadonlySet<number> = new Set([101, 204, 205, 304]);

/**
 * Unread bodies that are read for clients of one network at a time. The rest of them lose their connection with their
 * response, and leave the drains of an isolate to others (contracts/drained-body.ts).
 */
const MAX_OF_ONE_NETWORK = 64;
const draining = new NetworkCounts();

/**
 * The response, whose end waits until the client has sent its whole body. The client has all bytes of the response
 * before. On Cloudflare the platform sees to that.
 */
export async function afterUnreadBody(
  unread: ReadableStream<Uint8Array>,
  response: Response,
  client: UnreadClient,
): Promise<Response> {
  if (response.body === null && BODILESS.has(response.status)) return response;
  const { address, signal } = client;
  if (address !== undefined && draining.of(address) >= MAX_OF_ONE_NETWORK) return response;
  const uncount = address === undefined ? undefined : draining.add(address);
  // A client that leaves ends the invocation, and no code of it runs on.
  if (uncount !== undefined) signal.addEventListener("abort", uncount);
  const bytes = new Uint8Array(await response.arrayBuffer());
  const { readable, writable } = new FixedLengthStream(bytes.length);
  const writer = writable.getWriter();
  const finish = async (): Promise<void> => {
    if (bytes.length > 0) await writer.write(bytes);
    await drainBody(unread.getReader({ mode: "byob" }), signal);
    await writer.close();
  };
  // The client left: nobody waits for the end.
  finish()
    .catch(() => undefined)
    .finally(uncount);
  const { status, headers } = response;
  return new Response(readable, { status, headers, encodeBody: "manual" });
}
