/**
 * The secrets of apps: asked of the gateway, and put into what a version starts its containers with. They
 * are in the agent's memory and its containers' environments, and nowhere else.
 */
import { messageOf } from "../../base/thrown.ts";
import type { AppConfig, EndpointConfig } from "../config/app-config.ts";
import { StartFailure } from "../containers/container.ts";
import type { GatewayClient } from "../link/gateway-client.ts";

/** Secret to its variables. */
export type SecretValues = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** Asks for secrets of an environment. @throws {StartFailure} when one can't be had */
export type AskForSecrets = (
  environment: string,
  names: readonly string[],
) => Promise<SecretValues>;

/** Asks the gateway, which answers a box that announces an app of the environment. */
export function secretsFrom(gateway: Pick<GatewayClient, "ask">): AskForSecrets {
  return async (environment, names) => {
    try {
      return await gateway.ask("secrets", {}, { environment, names: [...names] });
    } catch (error) {
      const reason = messageOf(error);
      throw new StartFailure("starting_failed", `no secrets: ${reason}`);
    }
  };
}

/** The secrets that an app's endpoints name, each once. */
export function secretNames({ endpoints }: Pick<AppConfig, "endpoints">): string[] {
  return [...new Set(endpoints.flatMap(({ secrets }) => secrets))];
}

/**
 * An endpoint with its secrets' variables among its own: later secrets win over earlier ones, and its
 * `env` over all of them. @throws {StartFailure} for a secret that is not there
 */
export function withSecrets(endpoint: EndpointConfig, values: SecretValues): EndpointConfig {
  const variables: Record<string, string> = {};
  for (const name of endpoint.secrets) {
    const secret = Object.hasOwn(values, name) ? values[name] : undefined;
    if (secret === undefined) {
      const detail = `${endpoint.function} needs the secret ${name}, which is not there or can't be read`;
      throw new StartFailure("starting_failed", `${detail}; postern secret list shows what is`);
    }
    Object.assign(variables, secret);
  }
  return { ...endpoint, env: { ...variables, ...endpoint.env } };
}
