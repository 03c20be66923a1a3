/** The options of an agent, and the commands to one that runs. */
import type { BoxEnrolment } from "../auth/box-credential.ts";
import type { Observer } from "../base/observer.ts";
import type { AppUser } from "./app-user.ts";
import type { EndpointUrl } from "./apps/local-app.ts";
import type { AppConfig } from "./config/app-config.ts";

export interface AgentOptions {
  /** The gateway's base URL. */
  gatewayUrl: string;
  /**
   * `host:port` to connect to instead, where agent and gateway share a machine: past the front. Asked at each
   * dial, since the gateway's next start may have another port.
   */
  connectTo?: () => string | undefined;
  enrolment: BoxEnrolment;
  /** Where the box is, as its containers are told. */
  region?: string;
  /** The app that this agent brings along. */
  announced?: AppConfig;
  /** It is an ephemeral one: its labels end in this suffix. */
  devSuffix?: string;
  /** Apps may be deployed to this box. Needs a state directory. */
  acceptsAssignments?: boolean;
  /** Where durable calls are, for this agent alone. Without it no call is durable, and no client redirected. */
  stateDirectory?: string;
  /** Where Python environments are, also for other agents of this machine. Without it none is made. */
  environmentsDirectory?: string;
  /** Where containers of Python apps share data, also of other agents of this machine. Needs a state directory. */
  dataDirectory?: string;
  /** Runs the apps, and what makes their Python environments; without one the agent's own user does. */
  appUser?: AppUser | undefined;
  /** Links to keep to the gateway. */
  links?: number;
  /** Bytes that the heads of all waiting calls may have; 256 MiB by default. */
  waitingHeadsBytes?: number | undefined;
  /** Hears what happens: a container's output, notices, changes of state. */
  observer: Observer;
}

export interface DrainOptions {
  /** "gone": their gateway has ended for them, so only durable calls may finish. */
  readonly clients?: "attached" | "gone" | undefined;
  /** "leave": the next agent of this state directory takes over the containers of deployed apps, where that can be. */
  readonly containers?: "end" | "leave" | undefined;
}

export interface RunningAgent {
  /** Of the announced app, in its configuration's order. */
  readonly urls: readonly EndpointUrl[];
  /** Opens the announced app's private endpoints, as in its containers. */
  readonly appToken: string;
  /**
   * Puts another configuration in the announced app's place, which goes on where that fails. Resolves when
   * all containers of the new one are ready and calls go there. One at a time; the signal gives it up.
   * @throws {AgentRefused} when the gateway refuses a name
   * @throws {StartFailure} when a container does not become ready; tells its last lines
   */
  change(config: AppConfig, signal?: AbortSignal): Promise<void>;
  /** Takes no new calls, lets those that run finish within their grace period, then closes. */
  drain(how?: DrainOptions): Promise<void>;
  /** Ends calls and containers now. */
  close(): Promise<void>;
  /** Resolves with the reason when the gateway refuses this agent for good. */
  refused: Promise<string>;
}
