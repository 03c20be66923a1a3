/** A function of an app's version, as calls find it. */
import { ok, type Result } from "../../base/result.ts";
import type { Failure } from "../../routing/wire/messages.ts";
import type { PoolLoad } from "../../routing/wire/pool-load.ts";
import type { RequestSession } from "../../routing/wire/sessions.ts";
import type { CallRunner } from "../calls/call-registry.ts";
import type { EndpointConfig } from "../config/app-config.ts";
import type { PoolView, ServedPools } from "../endpoints/served-pools.ts";
import type { GradioDirectory } from "./gradio-directories.ts";

/** A function as a version serves it. */
export interface ServedFunction {
  readonly settings: EndpointConfig;
  /** Other boxes have all the containers that there may be. */
  readonly isElsewhere: boolean;
  /** A container of it takes calls. */
  readonly isReady: boolean;
  /** Of the containers that it shares with other functions, perhaps. */
  readonly load: PoolLoad;
  /** Another container of it would wait for cards, or for a port, that others use. */
  readonly isBlocked: boolean;
  /** As its containers of the request's parameters have it; absent where there are no parameters. */
  readonly select?: (target: string) => Result<ServedFunction, Failure>;
  /** As in `ServedPools`; absent where there are no parameters. */
  readonly decide?: (target: string) => Promise<void> | undefined;
  /** Gives the runner of the function's calls that come over this link. */
  runner(link: number): CallRunner;
  /** Whether one of its containers has the request's session. */
  hasSession(session: RequestSession): boolean;
  /** Whether one of these session keys belongs to this box. */
  knowsSession(keys: readonly string[]): boolean;
  /** Of a Gradio endpoint, where its containers share them. */
  readonly files: GradioDirectory | undefined;
}

interface ServedBy {
  readonly endpoint: ServedPools;
  readonly files: GradioDirectory | undefined;
  readonly isBlocked: () => boolean;
}

/** Made once for each function, since each request asks for it. */
export function servedFunction(
  settings: EndpointConfig,
  { endpoint, files, isBlocked }: ServedBy,
): ServedFunction {
  const { select, decide } = endpoint;
  const served = (view: PoolView): ServedFunction => ({
    settings,
    get isElsewhere() {
      return view.isElsewhere;
    },
    get isBlocked() {
      return isBlocked();
    },
    get load() {
      return view.load;
    },
    get isReady() {
      return view.activity.ready > 0;
    },
    ...(select !== undefined && {
      select: (target) => {
        const selected = select(target);
        return selected.ok ? ok(served(selected.value)) : selected;
      },
    }),
    ...(decide !== undefined && { decide }),
    runner: (link) => endpoint.runner(settings, link),
    hasSession: (session) => view.hasSession(session),
    knowsSession: (keys) => endpoint.knowsSession(keys),
    files,
  });
  return served(endpoint);
}
