/** Checks of a version's content that its schema cannot express. */
import type { VersionContent } from "../../../routing/wire/deployments.ts";

/** The first contradiction in a version's content, as a sentence; undefined: there is none. */
export function contradictionIn({ config, endpoints }: VersionContent): string | undefined {
  const functions = endpoints.map((endpoint) => endpoint.function);
  const twice = functions.find((name, index) => functions.indexOf(name) !== index);
  if (twice !== undefined) return `content.endpoints: ${twice} is there twice`;
  const pools = new Set(
    endpoints.filter((one) => one.pool === one.function).map((one) => one.pool),
  );
  const astray = endpoints.find(({ pool }) => !pools.has(pool));
  if (astray !== undefined) {
    return `content.endpoints: ${astray.function} is on the containers of ${astray.pool}, which has none`;
  }
  const tables = Array.isArray(config["endpoint"]) ? (config["endpoint"] as unknown[]) : [];
  const configured = tables.map((table) => Object(table).function as unknown);
  const matches =
    configured.length === functions.length &&
    functions.every((name, index) => name === configured[index]);
  if (matches) return undefined;
  return "content.config.endpoint: its functions must be those of content.endpoints, in the same order";
}
