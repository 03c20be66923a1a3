/**
 * The apps on this box by environment and name, deployed and local ones alike. Finds the function that an OPEN frame
 * names.
 */
import type { ContainerDescription } from "../../routing/wire/container-descriptions.ts";
import type { EndpointActivity } from "../../routing/wire/deployments.ts";
import type { OpenedTunnel } from "../containers/container-tunnels.ts";
import { TokenCalls } from "../core/token-calls.ts";
import type { BoxServices } from "./app-version.ts";
import type { ServedFunction } from "./served-function.ts";
import { AppRuntime } from "./app-runtime.ts";
import { type UsageReports, usageReportsTo } from "./usage-reports.ts";
import { SpareSupervisor } from "../containers/spare-supervisor.ts";
import { GatewayClient } from "../link/gateway-client.ts";

export interface AppName {
  readonly environment: string;
  readonly app: string;
}

export interface RuntimeServices extends Omit<BoxServices, "openTunnel" | "spares"> {
  /** Gives a port of this box a public URL in an environment. */
  readonly openTunnel: (environment: string, port: number) => Promise<OpenedTunnel>;
}

export class AppRuntimes {
  readonly #services: RuntimeServices;
  readonly #apps = new Map<string, AppRuntime>();
  /** Removed ones that finish what they have. */
  readonly #leaving = new Set<AppRuntime>();
  readonly #usage: UsageReports;
  readonly #spares = new SpareSupervisor();

  constructor(services: RuntimeServices) {
    this.#usage = usageReportsTo(new GatewayClient(services.gateway), services.observer.notice);
    this.#services = { ...services, usage: this.#usage, tokenCalls: new TokenCalls() };
  }

  /** The app of this name, made where it is missing. */
  take(name: AppName): AppRuntime {
    const key = keyOf(name);
    const present = this.#apps.get(key);
    if (present !== undefined) return present;
    const openTunnel = (port: number) => this.#services.openTunnel(name.environment, port);
    const app = new AppRuntime({ ...this.#services, openTunnel, spares: this.#spares });
    this.#apps.set(key, app);
    return app;
  }

  /** Sends it no calls any more; resolves when it has finished those that it has. */
  async remove(name: AppName): Promise<void> {
    const key = keyOf(name);
    const app = this.#apps.get(key);
    if (app === undefined) return;
    this.#apps.delete(key);
    this.#leaving.add(app);
    await app.stop();
    if (!this.#apps.has(key)) await this.#services.gradio?.remove(key);
    this.#leaving.delete(app);
  }

  /** @param endpoint as OPEN names it: `<environment>/<app>/<function>` */
  find(endpoint: string): ServedFunction | undefined {
    const slash = endpoint.lastIndexOf("/");
    return this.#apps.get(endpoint.slice(0, slash))?.find(endpoint.slice(slash + 1));
  }

  /** As in `ContainerListing`. */
  get containers(): ContainerDescription[] {
    return this.#all.flatMap((app) => app.containers);
  }

  /** As in `ContainerListing`. */
  stopContainer(container: string): boolean {
    return this.#all.some((app) => app.stopContainer(container));
  }

  /** The counts of all endpoints, in the order of their names. */
  get activity(): EndpointActivity[] {
    const all: EndpointActivity[] = [];
    for (const [key, app] of this.#apps) {
      for (const [functionName, activity] of app.activity) {
        all.push({ endpoint: `${key}/${functionName}`, ...activity });
      }
    }
    return all.toSorted((one, other) => (one.endpoint < other.endpoint ? -1 : 1));
  }

  /** The longest of all, in seconds. */
  get exitGracePeriod(): number {
    return Math.max(0, ...this.#all.map((app) => app.exitGracePeriod));
  }

  /** Ends everything now. */
  async close(): Promise<void> {
    await Promise.all(this.#all.map(async (app) => await app.close()));
    this.#spares.close();
    await this.#usage.close();
  }

  /** As `AppRuntime.leave`. */
  async leave(): Promise<void> {
    const leaving = [...this.#leaving].map(async (app) => await app.close());
    await Promise.all([
      ...leaving,
      ...[...this.#apps.values()].map(async (app) => await app.leave()),
    ]);
    this.#spares.close();
    await this.#usage.close();
  }

  get #all(): AppRuntime[] {
    return [...this.#apps.values(), ...this.#leaving];
  }
}

/** The name of an app's function in an OPEN frame: `<environment>/<app>/<function>`. */
export function endpointId(name: AppName, functionName: string): string {
  return `${keyOf(name)}/${functionName}`;
}

/** Tells an app from others on this box. */
export function keyOf({ environment, app }: AppName): string {
  return `${environment}/${app}`;
}
