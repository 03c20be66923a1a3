/**
 * The requests whose clients are known to follow no redirect. The gateway holds them until their response begins,
 * however long that takes: a 303 would be their last word of a call that goes on. Pure.
 *
 * A client of the table may have been told to follow. To be held does it no harm. A client that the table lacks is
 * sent to a result URL, since a connection that is silent for minutes is cut by many a proxy.
 */
import { isMcp } from "./mcp.ts";

/** A client that follows no redirect unless its user says so. */
interface HeldClient {
  /** The product of its User-Agent field, without its version. */
  readonly product: string;
  /** Its name, in Markdown. */
  readonly name: string;
  /** Its behaviour at a 303, and how that is known, in Markdown. */
  readonly reason: string;
}

export const HELD_CLIENTS: readonly HeldClient[] = [
  {
    product: "Java-http-client",
    name: "`java.net.http.HttpClient`",
    reason: "Its default is `Redirect.NEVER`. Tried with Java 17.",
  },
  {
    product: "python-httpx",
    name: "httpx",
    reason:
      "Its default is `follow_redirects=False`. By default it gives a silent request up after 5 s: " +
      "longer responses need its `timeout`. Tried with 0.28.",
  },
  {
    product: "python-httpx2",
    name: "httpx2",
    reason: "Its default is `follow_redirects=False`, as its source says.",
  },
  {
    product: "gradio_client",
    name: "`gradio_client`",
    reason:
      "It follows none on `GET /config`, for which it waits 5 s: through a cold start it needs " +
      '`httpx_kwargs={"timeout": 120}`. Tried with 2.7.',
  },
  {
    product: "Ruby",
    name: "Ruby's `Net::HTTP`",
    reason: "It never follows. Its source sends this field where its user sets none.",
  },
  {
    product: "Faraday",
    name: "Faraday, as in ruby-openai",
    reason: "It follows with a middleware alone. Its source sends `Faraday v` and the version.",
  },
  {
    product: "ReactorNetty",
    name: "Reactor Netty, as in Spring's `WebClient`",
    reason: "Its default is `followRedirect(false)`, as the source of 1.2 says.",
  },
  {
    product: "HTTPie",
    name: "HTTPie",
    reason: "It follows with `--follow` alone. Tried with 3.2.",
  },
];

const HELD_PRODUCTS: ReadonlySet<string> = new Set(HELD_CLIENTS.map(({ product }) => product));

/** A User-Agent field names its product in its first word. */
const MAX_PRODUCT_CHARACTERS = 64;

/**
 * Whether the client of this request is known to follow no redirect.
 * @param header the value of a header, by its name in lower case; null where the request has none
 */
export function isHeld(method: string, header: (name: string) => string | null): boolean {
  return isHeldProduct(header("user-agent")) || isMcp(method, header);
}

function isHeldProduct(userAgent: string | null): boolean {
  if (userAgent === null) return false;
  // RFC 9110, 10.1.5: products in order of importance. A library before it in the field is another client.
  const [product = ""] = userAgent.slice(0, MAX_PRODUCT_CHARACTERS).split(/[/ ;]/, 1);
  return HELD_PRODUCTS.has(product);
}
