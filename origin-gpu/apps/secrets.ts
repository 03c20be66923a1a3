/**
 * The secrets of apps: asked of the gateway, and put into what a version starts its containers with. They
 * are in the agent's memory and its containers' environments, and nowhere else.
 */
import type { AppConfig, EndpointConfig } from "../config/app-config.ts";
import { StartFailure } from "../containers/container.ts";
import type { GatewayAddress } from "../link/gateway-address.ts";

/** Secret to its variables. */
export type SecretValues = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** Asks for secrets of an environment. @throws {StartFailure} when one can't be had */
export type AskForSecrets = (
  environment: string,
  names: readonly string[],
) => Promise<SecretValues>;

const TIMEOUT_MS = 10_000;

/** Beyond it no refusal is read. */
const REFUSAL_CHARACTERS = 500;

/** Asks the gateway, which answers a box that announces an app of the environment. */
export function secretsFrom(gateway: Pick<GatewayAddress, "request">): AskForSecrets {
  return async (environment, names) => {
    try {
      const { statusCode, body } = await gateway.request("/_postern/secrets", {
        method: "POST",
        body: { environment, names },
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      if (statusCode === 200) return (await body.json()) as SecretValues;
      throw unavailable((await body.text()).slice(0, REFUSAL_CHARACTERS).trim());
    } catch (error) {
      if (error instanceof StartFailure) throw error;
      throw unavailable(error instanceof Error ? error.message : String(error));
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

function unavailable(reason: string): StartFailure {
  const line = reason.replace(/^postern: /, "") || "the gateway gave no reason";
  return new StartFailure("starting_failed", `no secrets: ${line}`);
}
