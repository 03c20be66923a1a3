/** Changes how many containers a function has, in the version that serves, and tells its boxes. */
import * as z from "zod";
import { err, ok, type Result } from "../../../base/result.ts";
import type { Refusal } from "../../../routing/wire/errors.ts";
import {
  OF_NO_PROCESS,
  type Scaling,
  SCALING_COMBINATIONS,
  SCALING_DEFAULTS,
  SCALING_VALUES,
} from "../../../routing/wire/scaling.ts";
import type { NewScaling, ScaledFunction } from "../../contracts/workspace/apps.ts";
import type { App } from "./app-records.ts";
import type { Control } from "./control.ts";
import type { PlacedEndpoint, Version } from "./versions.ts";

/**
 * An endpoint's keys of postern.toml, as far as its number of containers depends on them. Its agents have read them by
 * the rules of the file, and refused what breaks them: a value that does counts as absent.
 */
const CONFIGURED = z.object({
  min_containers: SCALING_VALUES.min_containers.catch(SCALING_DEFAULTS.min_containers),
  max_containers: SCALING_VALUES.max_containers.catch(SCALING_DEFAULTS.max_containers),
  buffer_containers: SCALING_VALUES.buffer_containers.catch(SCALING_DEFAULTS.buffer_containers),
  scaledown_window: SCALING_VALUES.scaledown_window.catch(SCALING_DEFAULTS.scaledown_window),
  port: z.number().optional().catch(undefined),
  upstream: z.unknown().optional(),
});

type ConfiguredEndpoint = z.output<typeof CONFIGURED>;

/** @param app a deployed one that is not stopped */
export function scaleFunction(
  control: Control,
  app: App,
  scaling: Omit<NewScaling, "app">,
  now: number,
): Result<ScaledFunction, Refusal> {
  const { versions, scalings, storage, notify } = control;
  const { function: name, change } = scaling;
  const version = versions.newest(app.id, "serving");
  if (version === undefined) {
    return err({ code: "conflict", detail: `no version of ${app.name} serves yet` });
  }
  const found = ownerOfContainers(app, version, name);
  if (!found.ok) return found;
  const configured = configuredEndpoint(control, version, name);
  const scaled = { ...configured, ...scalings.of(version, name), ...change };
  const problems = problemsOf(scaled, change);
  if (problems.length > 0) return err({ code: "parameter_invalid", detail: problems.join("; ") });
  storage.transactionSync(() => scalings.insert(version, scaling, now));
  for (const box of found.value.boxes) notify(box);
  const { port: _port, upstream: _upstream, ...settings } = scaled;
  return ok({ version: version.version, function: name, settings });
}

/** The function, where it has containers of its own. */
function ownerOfContainers(
  { name: app }: App,
  { endpoints }: Version,
  name: string,
): Result<PlacedEndpoint, Refusal> {
  const endpoint = endpoints.find((other) => other.function === name);
  if (endpoint === undefined) {
    const names = endpoints.map((other) => other.function).join(", ");
    const detail = `app ${app} has no function ${name}; it has ${names}`;
    return err({ code: "not_found", detail });
  }
  if (endpoint.pool === name) return ok(endpoint);
  const detail = `${name} has no containers of its own: those of ${endpoint.pool} serve it, scale that`;
  return err({ code: "conflict", detail });
}

function configuredEndpoint(
  { versions }: Control,
  { app, version }: Version,
  name: string,
): ConfiguredEndpoint {
  const tables = versions.content(app, version)?.config["endpoint"];
  const table: unknown = Array.isArray(tables)
    ? tables.find((other: { function?: unknown } | null) => other?.function === name)
    : undefined;
  return CONFIGURED.parse(typeof table === "object" ? (table ?? {}) : {});
}

/** In the words of a mistake in the file. */
function problemsOf(scaled: ConfiguredEndpoint, change: Scaling): string[] {
  if (scaled.upstream !== undefined) {
    return Object.entries(change).map(([key, value]) => `${key} = ${value}: ${OF_NO_PROCESS}`);
  }
  return SCALING_COMBINATIONS.filter(
    ({ key, wrong }) => scaled[key] !== undefined && wrong(scaled),
  ).map(({ key, message }) => `${key} = ${scaled[key]}: ${message(scaled)}`);
}
