/**
 * The local app of a box, by `postern up` or `serve`. The agent announces it on link 0, and starts its containers
 * when the gateway has told their URLs. Its configuration may change while it is served: the agent announces the new
 * one and starts it beside the old one. Where that fails, the old one goes on.
 */
import type { EndpointAnnouncement, Welcome } from "../../routing/wire/messages.ts";
import type { AppConfig } from "../config/app-config.ts";
import { edgeSettings } from "../config/edge-settings.ts";
import { endpointId, keyOf, type AppName, type AppRuntimes } from "./app-runtimes.ts";
import type { VersionDescription } from "./app-version.ts";
import type { AppRuntime } from "./app-runtime.ts";
import type { LoopbackUrls } from "./loopback-urls.ts";
import { type AskForSecrets, secretNames, withSecrets } from "./secrets.ts";

const DEFAULT_ENVIRONMENT = "main";

export interface LocalAppOptions {
  readonly apps: AppRuntimes;
  readonly workspace: string;
  readonly box: string;
  readonly region: string;
  /** An ephemeral app: labels end in this suffix. */
  readonly devSuffix: string | undefined;
  /** Tells the gateway what the box serves, whole; resolves with its answer. */
  readonly announce: (endpoints: EndpointAnnouncement[]) => Promise<Welcome>;
  readonly secrets: AskForSecrets;
  readonly loopbackUrls: Pick<LoopbackUrls, "reachable">;
}

/** The gateway's answer to the announcement of an app. */
interface Accepted {
  /** In the configuration's order. */
  readonly urls: readonly EndpointUrl[];
  /** Opens the app's own private endpoints. */
  readonly token: string;
}

export interface EndpointUrl {
  readonly function: string;
  readonly url: string;
}

/** The gateway refuses this box or one of its names; the message says what to do. */
export class AgentRefused extends Error {
  override readonly name = "AgentRefused";
}

export class LocalApp {
  readonly #options: LocalAppOptions;
  #config: AppConfig;
  #accepted: Accepted = { urls: [], token: "" };

  constructor(options: LocalAppOptions, config: AppConfig) {
    this.#options = options;
    this.#config = config;
  }

  /** In the configuration's order. */
  get urls(): readonly EndpointUrl[] {
    return this.#accepted.urls;
  }

  /** Opens the app's own private endpoints; empty until the gateway has accepted it. */
  get token(): string {
    return this.#accepted.token;
  }

  /** Whether another app of this name would be in its way. */
  isCalled(name: AppName): boolean {
    return keyOf(name) === keyOf(nameOf(this.#config));
  }

  /**
   * Announces the app and starts its containers; resolves without waiting for them.
   * @throws {AgentRefused} when the gateway refuses a name
   * @throws {StartFailure} when there is not a secret that it names
   */
  async start(): Promise<void> {
    const config = this.#config;
    this.#accepted = await this.#announce(config);
    const description = await this.#describe(config, this.#accepted);
    const app = this.#options.apps.take(nameOf(config));
    // Its log tells of a failure, and so does every call.
    void app.begin(description).catch(() => undefined);
  }

  /**
   * Puts another configuration in the present one's place, which goes on where that fails. One at a time.
   * @throws {AgentRefused} when the gateway refuses a name
   * @param signal gives the change up while it is under way
   * @throws {StartFailure} when a container does not become ready, there is not a secret, or it is given up
   */
  async change(config: AppConfig, signal?: AbortSignal): Promise<void> {
    const { apps } = this.#options;
    const [before, after] = [nameOf(this.#config), nameOf(config)];
    const renamed = !this.isCalled(after);
    const sameNames =
      JSON.stringify(this.#announcements(config)) ===
      JSON.stringify(this.#announcements(this.#config));
    try {
      const accepted = sameNames ? this.#accepted : await this.#announce(config);
      const app = apps.take(after);
      await prepare(app, await this.#describe(config, accepted), signal);
      void app.switchTo();
      this.#accepted = accepted;
    } catch (error) {
      if (renamed) void apps.remove(after);
      if (!sameNames) await this.#options.announce(this.#announcements(this.#config));
      throw error;
    }
    this.#config = config;
    if (renamed) void apps.remove(before);
  }

  /** Takes the app from the gateway, and ends it here when its calls are finished. */
  async end(): Promise<void> {
    await this.#options.announce([]);
    await this.#options.apps.remove(nameOf(this.#config));
  }

  /** The names of the app that the gateway refused when a link came back: one line each, for the operator. */
  refusals({ endpoints }: Welcome): string[] {
    return this.#config.endpoints.flatMap(({ function: name }, index) => {
      const answer = endpoints[index];
      return answer !== undefined && "refused" in answer ? [`${name}: ${answer.detail}`] : [];
    });
  }

  async #announce(config: AppConfig): Promise<Accepted> {
    const { endpoints } = await this.#options.announce(this.#announcements(config));
    let token = "";
    const urls = config.endpoints.map(({ function: name }, index) => {
      const answer = endpoints[index];
      if (answer === undefined)
        throw new AgentRefused(`${name}: the gateway did not answer for it`);
      if ("refused" in answer) throw new AgentRefused(`${name}: ${answer.detail}`);
      token = answer.appToken;
      return { function: name, url: answer.url };
    });
    return { urls, token };
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

  /** With today's values of its secrets. */
  async #describe(config: AppConfig, { urls, token }: Accepted): Promise<VersionDescription> {
    const { box, region, secrets, loopbackUrls, devSuffix } = this.#options;
    const { environment, app } = nameOf(config);
    const names = secretNames(config);
    const values = names.length === 0 ? {} : await secrets(environment, names);
    const byFunction = Object.fromEntries(urls.map(({ function: name, url }) => [name, url]));
    return {
      environment,
      app,
      endpoints: config.endpoints.map((endpoint) => withSecrets(endpoint, values)),
      logName: "",
      isEphemeral: devSuffix !== undefined,
      box,
      region,
      version: 0,
      token,
      urls: byFunction,
      reachableUrls: await loopbackUrls.reachable(byFunction),
    };
  }
}

async function prepare(
  app: AppRuntime,
  description: VersionDescription,
  signal: AbortSignal | undefined,
): Promise<void> {
  const giveUp = (): void => void app.abandon();
  signal?.addEventListener("abort", giveUp);
  try {
    const prepared = app.prepare(description);
    if (signal?.aborted === true) giveUp();
    await prepared;
  } finally {
    signal?.removeEventListener("abort", giveUp);
  }
}

function nameOf({ environment = DEFAULT_ENVIRONMENT, app }: AppConfig): AppName {
  return { environment, app };
}
