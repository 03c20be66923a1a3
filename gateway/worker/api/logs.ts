/**
 * `/api/v1/boxes/{box}/…/log`: what containers print. The gateway keeps no line and reads none; it passes on what the
 * box sends.
 */
import type * as z from "zod";
import { READ_APP_LOG, READ_CONTAINER_LOG } from "../../../api/logs.ts";
import type { LogQuery } from "../../../routing/wire/container-logs.ts";
import { workspaceStub } from "../../contracts/stubs.ts";
import { appAddress, noApp } from "./apps.ts";
import { askBoxForLines } from "./ask-box.ts";
import { containerId } from "./containers.ts";
import { type ApiHandler, handleLines } from "./operation-router.ts";

type ContainerLogQuery = NonNullable<typeof READ_CONTAINER_LOG.query>;

export const LOG_HANDLERS: readonly ApiHandler[] = [
  handleLines(READ_CONTAINER_LOG, async ({ env, caller, path: { box, container }, query }) => {
    const { workspace } = caller;
    const { environment, ...reading } = query;
    const of = {
      container: containerId(container),
      ...(environment !== undefined && { environment }),
    };
    const asked = { workspace, of, ...readingOf(reading) };
    return await askBoxForLines(env, { workspace, box }, "containerLogs", asked);
  }),
  handleLines(READ_APP_LOG, async ({ env, caller, path, query }) => {
    const { workspace } = caller;
    const address = appAddress(path, query);
    const app = await workspaceStub(env, workspace).app(address);
    if (app === undefined) throw noApp(address);
    const { function: functionName, ...reading } = query;
    const of = {
      environment: app.environment,
      app: app.name,
      ...(functionName !== undefined && { function: functionName }),
    };
    const asked = { workspace, of, ...readingOf(reading) };
    return await askBoxForLines(env, { workspace, box: path.box }, "containerLogs", asked);
  }),
];

function readingOf({
  since,
  tail,
  follow,
}: Pick<z.output<ContainerLogQuery>, "since" | "tail" | "follow">): Omit<LogQuery, "of"> {
  return {
    ...(since !== undefined && { since }),
    ...(tail !== undefined && { tail }),
    follow: follow === "true",
  };
}
