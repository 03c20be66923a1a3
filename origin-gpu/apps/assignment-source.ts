/** The agent's requests to the gateway about deployed apps: assignments, reports and packed code. */
import type { Assignments, BoxReport } from "../../routing/wire/deployments.ts";
import type { GatewayClient } from "../link/gateway-client.ts";

export interface AssignmentSource {
  /** Everything that this box is to run now. */
  assignments(): Promise<Assignments>;
  report(report: BoxReport): Promise<void>;
  /** Packed code, from a box that has it. */
  code(hash: string): Promise<AsyncIterable<Uint8Array>>;
}

/** Its errors are one line each, for the operator. */
export class GatewayAssignments implements AssignmentSource {
  readonly #gateway: GatewayClient;

  constructor(gateway: GatewayClient) {
    this.#gateway = gateway;
  }

  async assignments(): Promise<Assignments> {
    return await this.#gateway.ask("assignments", {});
  }

  async report(report: BoxReport): Promise<void> {
    await this.#gateway.ask("report", {}, report);
  }

  async code(hash: string): Promise<AsyncIterable<Uint8Array>> {
    return await this.#gateway.askForBytes("code", { hash });
  }
}
