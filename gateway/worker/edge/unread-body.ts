/** Refusals that come before a request's body was read, on a self-hosted gateway. */
import { drainBody } from "../../contracts/drained-body.ts";

/** Statuses whose responses can have no body, so that nothing can delay their end (Fetch, "null body status"). */
const BODILESS: ReadonlySet<number> = new Set([101, 204, 205, 304]);

/**
 * The response, whose end waits until the client has sent its whole body. The client has all bytes of the response
 * before. On Cloudflare the platform sees to that.
 */
export async function afterUnreadBody(
  unread: ReadableStream<Uint8Array>,
  response: Response,
): Promise<Response> {
  if (response.body === null && BODILESS.has(response.status)) return response;
  const bytes = new Uint8Array(await response.arrayBuffer());
  const { readable, writable } = new FixedLengthStream(bytes.length);
  const writer = writable.getWriter();
  const finish = async (): Promise<void> => {
    if (bytes.length > 0) await writer.write(bytes);
    await drainBody(unread.getReader({ mode: "byob" }));
    await writer.close();
  };
  // The client left: nobody waits for the end.
  finish().catch(() => undefined);
  const { status, headers } = response;
  return new Response(readable, { status, headers, encodeBody: "manual" });
}
