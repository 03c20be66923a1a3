/**
 * The local apps of a box: the one that its agent brings along, and one for each port that a container forwards. Each
 * HELLO announces the endpoints of all of them, so that they take turns.
 */
import type { EndpointAnnouncement, Welcome } from "../../routing/wire/messages.ts";
import type { AppConfig } from "../config/app-config.ts";
import { forwardConfig } from "../config/forward-config.ts";
import type { OpenedTunnel } from "../containers/container-tunnels.ts";
import { LocalApp, type LocalAppOptions } from "./local-app.ts";

/** Of one box. A loop that opens tunnels without end stops here. */
const MAX_TUNNELS = 100;

export class LocalApps {
  /** The app that the agent brings along. */
  readonly brought: LocalApp | undefined;
  readonly #options: LocalAppOptions;
  /** By app, in the order in which they are announced. */
  readonly #announced = new Map<object, readonly EndpointAnnouncement[]>();
  #turn: Promise<unknown> = Promise.resolve();
  #tunnels = 0;

  constructor(options: LocalAppOptions, brought: AppConfig | undefined) {
    this.#options = options;
    if (brought !== undefined) this.brought = this.#appOf(brought);
  }

  /** Announces the app that the agent brings along, or that it brings none. @throws as `LocalApp.start` */
  async start(): Promise<void> {
    await (this.brought?.start() ?? this.#options.announce([]));
  }

  /** Puts another configuration in the place of what the agent brings along. @throws as `LocalApp.change` */
  async change(config: AppConfig, signal?: AbortSignal): Promise<void> {
    if (this.brought === undefined) throw new Error("this agent brings no app along");
    await this.brought.change(config, signal);
  }

  /**
   * Gives a port of this machine a public URL that nobody guesses.
   * @throws {AgentRefused} where the gateway refuses it, and an Error where the box has too many
   */
  async openTunnel(environment: string, port: number): Promise<OpenedTunnel> {
    if (this.#tunnels >= MAX_TUNNELS) {
      throw new Error(`this box forwards ${MAX_TUNNELS} ports already: close some of the tunnels`);
    }
    // A tunnel is to show the server the public Host.
    const forwarded = { upstream: `http://127.0.0.1:${port}`, isOpen: true, hostHeader: "public" };
    const result = forwardConfig(forwarded);
    if (!result.ok) throw new Error(result.problems[0]?.message ?? "the port can't be forwarded");
    const app = this.#appOf({ ...result.config, environment });
    this.#tunnels += 1;
    const close = async (): Promise<void> => {
      this.#tunnels -= 1;
      await app.end();
    };
    try {
      await app.start();
    } catch (error) {
      void close();
      throw error;
    }
    return { url: app.urls[0]?.url ?? "", close };
  }

  #appOf(config: AppConfig): LocalApp {
    const owner = {};
    const announce: LocalAppOptions["announce"] = async (own) => await this.#announce(owner, own);
    return new LocalApp({ ...this.#options, announce }, config);
  }

  /** Resolves with the gateway's answer for these endpoints alone. */
  async #announce(owner: object, endpoints: EndpointAnnouncement[]): Promise<Welcome> {
    const turn = this.#turn.then(async () => {
      this.#announced.set(owner, endpoints);
      let first = 0;
      for (const [other, theirs] of this.#announced) {
        if (other === owner) break;
        first += theirs.length;
      }
      const welcome = await this.#options.announce([...this.#announced.values()].flat());
      if (endpoints.length === 0) this.#announced.delete(owner);
      return { ...welcome, endpoints: welcome.endpoints.slice(first, first + endpoints.length) };
    });
    this.#turn = turn.catch(() => undefined);
    return await turn;
  }
}
