/** Endpoints of the tests of this folder, and calls that they run. */
import { onTestFinished } from "vitest";
import type { Call, RecordedStart, Settlement, Standings } from "../../../origin-gpu/calls/call.ts";
import { RequestBody } from "../../../origin-gpu/calls/request-body.ts";
import type { RequestCaller } from "../../../routing/wire/heads.ts";
import type { CallStanding } from "../../../origin-gpu/core/service-times.ts";
import type { EndpointConfig } from "../../../origin-gpu/config/config.ts";
import { Box } from "../../../origin-gpu/core/box.ts";
import { SessionTable } from "../../../origin-gpu/core/session-table.ts";
import { BoxClaims } from "../../../origin-gpu/endpoints/box-claims.ts";
import { Endpoint } from "../../../origin-gpu/endpoints/endpoint.ts";
import type { EndpointOptions } from "../../../origin-gpu/endpoints/endpoint-options.ts";
import type { GatewayAddress } from "../../../origin-gpu/link/gateway-address.ts";
import { listening, plainPython } from "../containers/endpoint.ts";

/** On a machine that does other things. */
export const PATIENCE = { timeout: 30_000 };

export function endpointOf(
  settings: EndpointConfig,
  more: Partial<EndpointOptions> = {},
): { endpoint: Endpoint; lines: string[] } {
  const lines: string[] = [];
  const endpoint = new Endpoint({
    settings,
    gateway: {} as GatewayAddress,
    bodies: undefined,
    claims: new BoxClaims(new Box()),
    identity: { app: "main/shop", functionName: settings.function, version: 1, rollout: undefined },
    isProved: false,
    sessions: new SessionTable(),
    environment: {},
    usePython: plainPython,
    ...listening((line) => lines.push(line)),
    ...more,
  });
  onTestFinished(() => endpoint.close());
  return { endpoint, lines };
}

export interface StandInTraits {
  readonly isPromised?: boolean;
  readonly isRestored?: boolean;
  readonly method?: string;
  readonly body?: RequestBody;
  readonly session?: string;
  readonly caller?: RequestCaller;
  /** The key of a WebSocket. */
  readonly websocket?: string;
}

/** A request, and what becomes of it. */
export class StandInCall {
  readonly callId: string;
  readonly head: {
    method: string;
    target: string;
    headers: string[];
    session: { keys: string[] } | undefined;
    caller: RequestCaller | undefined;
    websocket: string | undefined;
  };
  readonly body: RequestBody;
  readonly openedAt = performance.now();
  readonly isDurable = false;
  isPromised: boolean;
  readonly isRestored: boolean;
  /** The response's status, or the failure's code. */
  readonly outcome: Promise<number | string>;
  detail = "";
  /** How long it waited, in milliseconds. */
  timing: { readonly start: number; readonly queue: number } | undefined;
  /** The response's body. */
  text = "";
  container: string | undefined;
  over = false;
  withdrawn = 0;
  reruns = 0;
  hasBegun = false;
  #promise: () => void = () => undefined;
  readonly #resolve: (outcome: number | string) => void;
  #status = 0;
  #onSettled: ((how: Settlement) => void) | undefined;

  constructor(
    target: string,
    {
      isPromised = false,
      isRestored = false,
      method = "GET",
      body,
      session,
      caller,
      websocket,
    }: StandInTraits = {},
  ) {
    this.isRestored = isRestored;
    this.body = body ?? new RequestBody(undefined, new Uint8Array(0), true);
    this.callId = target;
    this.head = {
      method,
      target,
      headers: ["host", "app"],
      session: session === undefined ? undefined : { keys: [session] },
      caller,
      websocket,
    };
    this.isPromised = isPromised;
    const { promise, resolve } = Promise.withResolvers<number | string>();
    this.outcome = promise;
    this.#resolve = resolve;
  }

  get asCall(): Call {
    return this as unknown as Call;
  }

  standing: (() => CallStanding | undefined) | undefined;

  standsBy(pool: Standings<unknown>, queued: unknown): void {
    this.standing = () => pool.standingOf(queued);
    this.#promise = () => pool.onPromised(queued);
  }

  /** Its client is told that it goes on. */
  promise(): void {
    this.isPromised = true;
    this.#promise();
  }

  whenSettled(callback: (how: Settlement) => void): void {
    this.#onSettled = callback;
  }
  park = (): number | undefined => undefined;
  start(): void {
    this.hasBegun = true;
  }
  recordStart: () => Promise<RecordedStart> | undefined = () => undefined;
  append(bytes: Uint8Array): void {
    this.text += Buffer.from(bytes).toString();
  }
  retry(): boolean {
    if (!this.over) this.reruns += 1;
    return !this.over;
  }
  withdraw(): void {
    this.withdrawn += 1;
  }
  respond({ status, timing }: { status: number; timing: { start: number; queue: number } }): void {
    this.#status = status;
    this.timing = timing;
  }
  complete(): void {
    this.#end(this.#status, "completed");
  }
  fail({ code, detail }: { code: string; detail: string }): void {
    this.detail = detail;
    this.#end(code, "broke");
  }

  #end(outcome: number | string, how: Settlement): void {
    if (this.over) return;
    this.over = true;
    this.#onSettled?.(how);
    this.#resolve(outcome);
  }
}

/** Gives a call to the endpoint. */
export function open(endpoint: Endpoint, settings: EndpointConfig, call: StandInCall): StandInCall {
  endpoint.runner(settings, 0).run(call.asCall);
  return call;
}
