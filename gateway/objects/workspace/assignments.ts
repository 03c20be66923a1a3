/**
 * The assignments of a box, as its agent gets them: for each app the version that serves and the candidate.
 * A box gets only the endpoints that were placed on it.
 */
import type {
  AssignedApp,
  AssignedVersion,
  Assignments,
  VersionContent,
} from "../../../routing/wire/deployments.ts";
import type { App } from "./app-records.ts";
import { type Control, urlOf } from "./control.ts";
import type { ReadSecrets } from "../../contracts/workspace/secrets.ts";
import type { Version } from "./versions.ts";

/** Texts that only boxes get, and that no version contains. */
export interface Confidential {
  /** The app token, which opens the app's own private endpoints. */
  token(app: App): Promise<string>;
  /** A secret that cannot be read is not among the values; the box says what it lacks. */
  secrets(environment: string, names: readonly string[]): Promise<ReadSecrets>;
}

export async function assignmentsOf(
  control: Control,
  confidential: Confidential,
  box: string,
): Promise<Assignments> {
  const { apps, versions } = control;
  const byApp = new Map<string, Version[]>();
  for (const version of versions.assignedTo(box)) {
    byApp.set(version.app, [...(byApp.get(version.app) ?? []), version]);
  }
  const assigned: AssignedApp[] = [];
  for (const [id, mine] of byApp) {
    const app = apps.find(id);
    if (app === undefined || app.stoppedAt !== null) continue;
    // One that was replaced goes on here only where its successor is not.
    const serving =
      mine.find(({ status }) => status === "serving") ??
      mine.findLast(({ status }) => status === "replaced");
    const candidate = mine.find(({ status }) => status === "candidate");
    const assign = async (version: Version) =>
      await assignedVersion(control, confidential, app, version, box);
    assigned.push({
      id,
      environment: app.environment,
      app: app.name,
      token: await confidential.token(app),
      ...(serving === undefined ? {} : { serving: await assign(serving) }),
      ...(candidate === undefined ? {} : { candidate: await assign(candidate) }),
    });
  }
  return { apps: assigned };
}

async function assignedVersion(
  control: Control,
  confidential: Confidential,
  app: App,
  version: Version,
  box: string,
): Promise<AssignedVersion> {
  const whole = control.versions.content(app.id, version.version) as VersionContent;
  const here = version.endpoints.filter(({ boxes }) => boxes.includes(box));
  const content = restricted(whole, new Set(here.map((endpoint) => endpoint.function)));
  const shared = here.filter(
    ({ function: name, pool, boxes }) => name === pool && boxes.length > 1,
  );
  const scaling = control.scalings.byFunction(version);
  const secrets = [...new Set(content.endpoints.flatMap((endpoint) => endpoint.secrets))];
  return {
    version: version.version,
    content,
    urls: Object.fromEntries(
      version.endpoints.map((endpoint) => [endpoint.function, urlOf(control, endpoint.name)]),
    ),
    secrets: (await confidential.secrets(app.environment, secrets)).values,
    ...(shared.length > 0 && { sharedPools: shared.map(({ pool }) => pool) }),
    ...(Object.keys(scaling).length > 0 && { scaling }),
  };
}

/** A version's content with some of its endpoints. */
function restricted(content: VersionContent, functions: ReadonlySet<string>): VersionContent {
  const { config, endpoints } = content;
  if (endpoints.every((endpoint) => functions.has(endpoint.function))) return content;
  const tables = config["endpoint"] as Record<string, unknown>[];
  return {
    ...content,
    config: {
      ...config,
      endpoint: tables.filter((table) => functions.has(String(table["function"]))),
    },
    endpoints: endpoints.filter((endpoint) => functions.has(endpoint.function)),
  };
}
