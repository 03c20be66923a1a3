/** One endpoint of a box whose processes and clients are played: its versions, as apps/app-runtime.ts has them, and its calls. */
import { SECOND_MS } from "../../../base/units.ts";
import type { Call } from "../../../origin-gpu/calls/call.ts";
import type { Rollout } from "../../../origin-gpu/core/claims.ts";
import type { PoolSettings } from "../../../origin-gpu/core/pool-effects.ts";
import { SessionTable } from "../../../origin-gpu/core/session-table.ts";
import type { QueuedCall } from "../../../origin-gpu/endpoints/queued-call.ts";
import {
  CONFIG,
  type EndpointTraits,
  type EndpointWorld,
  type PlayedCall,
  PlayedVersion,
} from "./played-version.ts";

export class PlayedEndpoint {
  readonly traits: EndpointTraits;
  settings: PoolSettings;
  readonly sessions = new SessionTable();
  serving: PlayedVersion | undefined;
  /** One of its calls got its place then. */
  servedAtMs = 0;
  candidate: PlayedVersion | undefined;
  /** All that have containers or calls, those that end included. */
  readonly versions = new Set<PlayedVersion>();
  /** Whether calls whose container breaks are run again. */
  reruns = false;
  readonly #world: EndpointWorld;
  #lastVersion = 0;
  #lastCall = 0;

  constructor(traits: EndpointTraits, world: EndpointWorld) {
    this.traits = traits;
    this.settings = traits.settings;
    this.#world = world;
  }

  /** Its first version serves. */
  begin(): void {
    this.serving = this.#begin(undefined);
  }

  get #nowMs(): number {
    return this.#world.claims.clock.now();
  }

  /** For how long calls have waited while none of the endpoint's got a place. */
  get waitedMs(): number {
    return Math.min(this.longestWaitMs, this.#nowMs - this.servedAtMs);
  }

  /** For how long the oldest call has waited. */
  get longestWaitMs(): number {
    const waiting = this.calls.filter(({ container }) => container === undefined);
    return Math.max(0, ...waiting.map(({ requestedAtMs }) => this.#nowMs - requestedAtMs));
  }

  get calls(): PlayedCall[] {
    return [...this.versions].flatMap(({ calls }) => Array.from(calls));
  }

  arrive({
    isPassive = false,
    isAccepted = false,
    key,
  }: Partial<Pick<PlayedCall, "isPassive" | "isAccepted" | "key">>): void {
    const version = this.#versionFor(key);
    if (version === undefined) return;
    this.#lastCall += 1;
    const callId = `${this.traits.name}/${this.#lastCall}`;
    const session = key === undefined ? undefined : { keys: [key] };
    const head = { target: isPassive ? "/passive" : "/", session };
    const queued: QueuedCall = {
      call: { callId, isPromised: isAccepted, head } as unknown as Call,
      settings: CONFIG,
      link: 0,
      arrivedAt: this.#nowMs,
      waitedElsewhere: false,
      container: undefined,
      unsent: 0,
    };
    const times = { requestedAtMs: this.#nowMs, assignedAtMs: Infinity };
    const about = { isPassive, isAccepted, key, container: undefined, ...times };
    version.request({ queued, version, ...about });
  }

  /** Its container is gone: it fails, or is run again. */
  onBroken(call: PlayedCall): void {
    call.version.finish(call);
    if (this.reruns) this.#requestAgain(call);
  }

  /** A version that was replaced does not begin the call any more. */
  takeOver(call: PlayedCall): void {
    this.serving?.request(call);
  }

  change(settings: Partial<PoolSettings>): void {
    this.settings = { ...this.settings, ...settings };
    this.serving?.change(this.settings);
    this.candidate?.change(this.settings);
  }

  /** Prepares a new version. */
  deploy(rollout: Rollout): void {
    // Another preparation ends first, with all that it has.
    const isOver = [...this.versions].every((one) => !one.isClosed || one.isRetired);
    if (this.candidate !== undefined || !isOver) return;
    const candidate = this.#begin(rollout);
    this.candidate = candidate;
    candidate.driver.proved.then(
      () => this.#switchTo(candidate),
      () => this.abandon(candidate),
    );
  }

  /** The version that is prepared is given up. */
  abandon(candidate = this.candidate): void {
    if (candidate === undefined || this.candidate !== candidate) return;
    this.candidate = undefined;
    candidate.isRetired ||= candidate.calls.size > 0;
    candidate.close();
    this.serving?.driver.onVersionAbandoned();
  }

  /** The app goes. */
  remove(): void {
    this.abandon();
    this.#install(undefined);
  }

  /** Versions without process are forgotten. */
  forgetEnded(): void {
    for (const version of this.versions) {
      const isEnded = version.isClosed && version.containers.all.size === 0;
      if (isEnded && version.calls.size === 0) this.versions.delete(version);
    }
  }

  #begin(rollout: Rollout | undefined): PlayedVersion {
    this.#lastVersion += 1;
    return new PlayedVersion(this, { number: this.#lastVersion, rollout }, this.#world);
  }

  #switchTo(candidate: PlayedVersion): void {
    if (this.candidate !== candidate) return;
    this.candidate = undefined;
    candidate.isPrepared = false;
    candidate.driver.unpin();
    this.#install(candidate);
  }

  #install(version: PlayedVersion | undefined): void {
    const old = this.serving;
    this.serving = version;
    if (old !== undefined) void this.#retire(old, version !== undefined);
  }

  async #retire(old: PlayedVersion, keepsSessions: boolean): Promise<void> {
    old.isRetired = true;
    const graceMs = CONFIG.exitGracePeriod * SECOND_MS;
    await old.driver.retire({ keepsSessions, graceMs, signal: old.closing.signal });
    old.close();
  }

  /** Calls of its sessions go to a version that was replaced, in its grace. */
  #versionFor(key: string | undefined): PlayedVersion | undefined {
    if (key === undefined) return this.serving;
    const older = [...this.versions].find(
      (version) => version.isRetired && version.driver.sessions.has({ keys: [key] }),
    );
    return older ?? this.serving;
  }

  #requestAgain(call: PlayedCall): void {
    const { version } = call;
    (version.isClosed ? this.serving : version)?.request(call);
  }
}
