/** Asks the gateway over HTTP with the box's credential: the agent's end of GATEWAY_OPERATIONS. */
import type { Dispatcher } from "undici";
import * as z from "zod";
import {
  GATEWAY_OPERATIONS,
  type GatewayOperationName,
  type GatewayOperationParameters,
  type GatewayOperationRequest,
  type GatewayOperationValue,
  operationPath,
} from "../../routing/wire/gateway-operations.ts";
import { MAX_SHARED_FILE_BYTES } from "../../routing/wire/shared-files.ts";
import type { GatewayAddress } from "./gateway-address.ts";

/** Of a refusal, for the operator. */
const MAX_REFUSAL_CHARACTERS = 500;

/** Its errors are one line each: the gateway's own, or why it could not be asked. */
export class GatewayClient {
  readonly #address: Pick<GatewayAddress, "request">;

  constructor(address: Pick<GatewayAddress, "request">) {
    this.#address = address;
  }

  /** Asks for an operation's value; undefined where it has none. */
  async ask<Name extends GatewayOperationName>(
    name: Name,
    parameters: GatewayOperationParameters<Name>,
    request?: GatewayOperationRequest<Name>,
  ): Promise<GatewayOperationValue<Name>> {
    const { result, timeoutMs } = GATEWAY_OPERATIONS[name];
    const signal = AbortSignal.timeout(timeoutMs);
    const body = await this.#open(name, parameters, { body: request, signal });
    if (result.kind !== "json") {
      await body.dump();
      return undefined as GatewayOperationValue<Name>;
    }
    const parsed = result.schema.safeParse(await body.json());
    if (parsed.success) return parsed.data as GatewayOperationValue<Name>;
    throw new Error(`the gateway's ${name}: ${z.prettifyError(parsed.error)}`);
  }

  /** Asks for an operation's bytes, which may take as long as they come. */
  async askForBytes(
    name: "code",
    parameters: GatewayOperationParameters<"code">,
  ): Promise<AsyncIterable<Uint8Array>> {
    return await this.#open(name, parameters);
  }

  /** Asks for a file, which has so many bytes; the gateway's answer without a length is none. */
  async askForFile(
    parameters: GatewayOperationParameters<"file">,
    signal: AbortSignal,
  ): Promise<{ bytes: number; content: AsyncIterable<Uint8Array> }> {
    const { body: content, headers } = await this.#answer("file", parameters, { signal });
    const bytes = Number(headers["content-length"]);
    if (bytes <= MAX_SHARED_FILE_BYTES) return { bytes, content };
    content.destroy();
    throw new Error(
      `the file has more than ${MAX_SHARED_FILE_BYTES} bytes, or nobody says how many`,
    );
  }

  async #open<Name extends GatewayOperationName>(
    name: Name,
    parameters: GatewayOperationParameters<Name>,
    { body: json, signal }: { body?: unknown; signal?: AbortSignal } = {},
  ): Promise<Dispatcher.ResponseData["body"]> {
    return (await this.#answer(name, parameters, { body: json, ...(signal && { signal }) })).body;
  }

  async #answer<Name extends GatewayOperationName>(
    name: Name,
    parameters: GatewayOperationParameters<Name>,
    { body: json, signal }: { body?: unknown; signal?: AbortSignal } = {},
  ): Promise<Pick<Dispatcher.ResponseData, "body" | "headers">> {
    const { statusCode, body, headers } = await this.#address.request(
      operationPath(name, parameters),
      {
        method: GATEWAY_OPERATIONS[name].method,
        ...(json === undefined ? {} : { body: json }),
        ...(signal === undefined ? {} : { signal }),
      },
    );
    if (statusCode < 300) return { body, headers };
    const text = (await body.text()).slice(0, MAX_REFUSAL_CHARACTERS).split("\n")[0] ?? "";
    throw new Error(text.replace(/^postern: /, "") || `the gateway answers ${statusCode}`);
  }
}
