/**
 * The app that a box brings along, by `postern up` or `serve`: it is announced on link 0, and its
 * containers start when the gateway has told their URLs. It may change while it is served: the new
 * configuration is announced and started beside the old one, which goes on where that fails.
 */
import type { EndpointAnnouncement, Welcome } from "../../routing/wire/messages.ts";
import type { AppConfig } from "../config/app-config.ts";
import { edgeSettings } from "../config/edge-settings.ts";
import { endpointId, type AppName, type Apps } from "./apps.ts";
import type { VersionDescription } from "./app-version.ts";

const DEFAULT_ENVIRONMENT = "main";

export interface AnnouncedAppOptions {
  readonly apps: Apps;
  readonly workspace: string;
  readonly box: string;
  readonly region: string;
  /** An ephemeral app: labels end in this suffix. */
  readonly devSuffix: string | undefined;
  /** Tells the gateway what the box serves, whole; resolves with its answer. */
  readonly announce: (endpoints: EndpointAnnouncement[]) => Promise<Welcome>;
}

export interface EndpointUrl {
  readonly function: string;
  readonly url: string;
}

/** The gateway refuses this box or one of its names; the message says what to do. */
export class AgentRefused extends Error {
  override readonly name = "AgentRefused";
}

export class AnnouncedApp {
  readonly #options: AnnouncedAppOptions;
  #config: AppConfig;
  #urls: readonly EndpointUrl[] = [];

  constructor(options: AnnouncedAppOptions, config: AppConfig) {
    this.#options = options;
    this.#config = config;
  }

  /** In the configuration's order. */
  get urls(): readonly EndpointUrl[] {
    return this.#urls;
  }

  get name(): AppName {
    return nameOf(this.#config);
  }

  /**
   * Announces the app and starts its containers; resolves without waiting for them.
   * @throws {AgentRefused} when the gateway refuses a name
   */
  async start(): Promise<void> {
    const config = this.#config;
    this.#urls = await this.#announce(config);
    const app = this.#options.apps.take(nameOf(config));
    // Its log tells of a failure, and so does every call.
    void app.begin(this.#describe(config, this.#urls)).catch(() => undefined);
  }

  /**
   * Puts another configuration in the present one's place, which goes on where that fails. One at a time.
   * @throws {AgentRefused} when the gateway refuses a name
   * @throws {StartFailure} when a container does not become ready
   */
  async change(config: AppConfig): Promise<void> {
    const { apps } = this.#options;
    const [before, after] = [this.name, nameOf(config)];
    const renamed = endpointId(before, "") !== endpointId(after, "");
    const sameNames =
      JSON.stringify(this.#announcements(config)) ===
      JSON.stringify(this.#announcements(this.#config));
    try {
      const urls = sameNames ? this.#urls : await this.#announce(config);
      const app = apps.take(after);
      await app.prepare(this.#describe(config, urls));
      void app.switchTo();
      this.#urls = urls;
    } catch (error) {
      if (renamed) void apps.remove(after);
      if (!sameNames) await this.#options.announce(this.#announcements(this.#config));
      throw error;
    }
    this.#config = config;
    if (renamed) void apps.remove(before);
  }

  /** What the gateway says of the app's names when a link is back, in lines for the operator. */
  refusals({ endpoints }: Welcome): string[] {
    return this.#config.endpoints.flatMap(({ function: name }, index) => {
      const answer = endpoints[index];
      return answer !== undefined && "refused" in answer ? [`${name}: ${answer.detail}`] : [];
    });
  }

  async #announce(config: AppConfig): Promise<EndpointUrl[]> {
    const { endpoints } = await this.#options.announce(this.#announcements(config));
    return config.endpoints.map(({ function: name }, index) => {
      const answer = endpoints[index];
      if (answer === undefined)
        throw new AgentRefused(`${name}: the gateway did not answer for it`);
      if ("refused" in answer) throw new AgentRefused(`${name}: ${answer.detail}`);
      return { function: name, url: answer.url };
    });
  }

  #announcements(config: AppConfig): EndpointAnnouncement[] {
    const { workspace, devSuffix } = this.#options;
    const name = nameOf(config);
    return config.endpoints.map((endpoint) => ({
      workspace: config.workspace ?? workspace,
      ...name,
      function: endpoint.function,
      ...(endpoint.label === undefined ? {} : { label: endpoint.label }),
      ...(devSuffix === undefined ? {} : { devSuffix }),
      endpoint: endpointId(name, endpoint.function),
      settings: edgeSettings(endpoint),
    }));
  }

  #describe(config: AppConfig, urls: readonly EndpointUrl[]): VersionDescription {
    const { box, region } = this.#options;
    return {
      ...nameOf(config),
      endpoints: config.endpoints,
      logName: "",
      box,
      region,
      version: 0,
      token: "",
      urls: Object.fromEntries(urls.map(({ function: name, url }) => [name, url])),
    };
  }
}

function nameOf({ environment = DEFAULT_ENVIRONMENT, app }: AppConfig): AppName {
  return { environment, app };
}
