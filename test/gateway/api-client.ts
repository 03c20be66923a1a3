/** The API as a test asks it, through the real Worker. */
import { SELF } from "cloudflare:test";

export interface Token {
  id: string;
  secret: string;
}

export interface Answer {
  status: number;
  headers: Headers;
  /** The tests say what they expect of it. */
  json: ReturnType<typeof JSON.parse>;
}

/** One request to the API. */
export async function call(
  method: string,
  path: string,
  { token, body, raw }: { token?: Token | undefined; body?: unknown; raw?: BodyInit } = {},
): Promise<Answer> {
  const headers: Record<string, string> = { host: "localhost:8787" };
  if (token !== undefined) headers["authorization"] = `Bearer ${token.id}.${token.secret}`;
  const sent = raw ?? (body === undefined ? undefined : JSON.stringify(body));
  if (typeof sent === "string") headers["content-type"] = "application/json";
  const response = await SELF.fetch(`http://localhost:8787/api/v1${path}`, {
    method,
    headers,
    ...(sent === undefined ? {} : { body: sent }),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    json: text === "" ? {} : JSON.parse(text),
  };
}
