/** An API of the gateway that plays one deployment: it answers as the test says and keeps what it was asked. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { onTestFinished } from "vitest";
import { ApiClient } from "../../../cli/client.ts";
import type { ApiApp } from "../../../api/apps.ts";
import type { ApiVersion } from "../../../api/versions.ts";

export interface StandInApi {
  readonly client: ApiClient;
  /** `METHOD path`, in the order of their ends, without queries; of uploads with the body's SHA-256. */
  readonly asked: string[];
}

export interface Script {
  /**
   * Successive states of the version: the staged one, then one for each question; the last one stays.
   * `away`: the gateway can't answer.
   */
  readonly versions: readonly [ApiVersion, ...(ApiVersion | "away")[]];
  /** What serves according to the app. */
  readonly serving?: ApiVersion;
  /** Called when an upload begins; the answer waits for it. */
  readonly onUpload?: () => Promise<void>;
}

const APP: ApiApp = {
  id: "ap-00000000000000000000000000",
  name: "shop",
  environment: "main",
  state: "deployed",
  version: null,
  candidate: 3,
  endpoints: [],
  scaling: {},
  boxes: [],
  last_error: "",
  created_at: "2026-01-01T00:00:00Z",
  stopped_at: null,
};

/** Starts it; it ends with the test. */
export async function startStandInApi(script: Script): Promise<StandInApi> {
  const asked: string[] = [];
  const [staged, ...later] = script.versions;
  const answer = async (request: IncomingMessage, path: string): Promise<unknown> => {
    if (path.startsWith("/boxes/")) {
      await script.onUpload?.();
      const body = await buffer(request);
      asked.push(`${request.method} ${path} ${createHash("sha256").update(body).digest("hex")}`);
      return undefined;
    }
    asked.push(`${request.method} ${path}`);
    if (request.method === "DELETE") return undefined;
    if (path.endsWith("/versions")) return staged;
    if (request.method === "POST") return staged;
    const { serving } = script;
    if (path === "/apps/shop") return { ...APP, version: serving?.version ?? null };
    if (path === `/apps/shop/versions/${serving?.version}`) return serving;
    return later.length > 1 ? later.shift() : later[0];
  };
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "", "http://api").pathname.slice("/api/v1".length);
    answer(request, path).then(
      (value) => {
        response.statusCode = value === undefined ? 204 : value === "away" ? 503 : 200;
        response.end(value === undefined ? undefined : JSON.stringify(value));
      },
      // The client went away in the middle of an upload.
      () => response.destroy(),
    );
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    client: new ApiClient({ url, tokenId: "ak-w-x", tokenSecret: "as-x", source: "test" }),
    asked,
  };
}
