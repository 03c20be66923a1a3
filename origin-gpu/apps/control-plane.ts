/** What an agent asks of the gateway about deployed apps, over HTTP with the box's credential. */
import type { Dispatcher } from "undici";
import type { Assignments, BoxReport } from "../../routing/wire/deployments.ts";
import type { GatewayAddress } from "../link/gateway-address.ts";

/** The gateway asks its own storage alone. */
const PATIENCE_MS = 20_000;

const REFUSAL_CHARACTERS = 500;

export interface ControlPlane {
  /** Everything that this box is to run now. */
  assignments(): Promise<Assignments>;
  report(report: BoxReport): Promise<void>;
  /** Packed code, from a box that has it. */
  code(hash: string): Promise<AsyncIterable<Uint8Array>>;
}

/** Its errors are one line each: what was asked and what came. */
export class GatewayControlPlane implements ControlPlane {
  readonly #gateway: GatewayAddress;

  constructor(gateway: GatewayAddress) {
    this.#gateway = gateway;
  }

  async assignments(): Promise<Assignments> {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const body = await this.#expect(this.#gateway.request("/_postern/assignments", { signal }));
    const answer = (await body.json()) as Partial<Assignments> | null;
    if (!Array.isArray(answer?.apps)) throw new Error("the gateway's assignments have no apps");
    return { apps: answer.apps };
  }

  async report(report: BoxReport): Promise<void> {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const request = { method: "POST", body: report, signal } as const;
    const body = await this.#expect(this.#gateway.request("/_postern/report", request));
    await body.dump();
  }

  async code(hash: string): Promise<AsyncIterable<Uint8Array>> {
    return await this.#expect(this.#gateway.request(`/_postern/code/${hash}`));
  }

  /** The body of an answer that says yes. */
  async #expect(asked: Promise<Dispatcher.ResponseData>): Promise<Dispatcher.ResponseData["body"]> {
    const { statusCode, body } = await asked;
    if (statusCode < 300) return body;
    const text = (await body.text()).slice(0, REFUSAL_CHARACTERS).split("\n")[0] ?? "";
    throw new Error(text.replace(/^postern: /, "") || `the gateway answers ${statusCode}`);
  }
}
