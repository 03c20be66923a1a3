/** `/boxes/{box}/containers`. Containers: what runs on a box now. */
import * as z from "zod";
import { LISTED_CONTAINER_STATES } from "../routing/wire/container-descriptions.ts";
import { CONTAINER_ID } from "../routing/wire/container-logs.ts";
import { apiOperation } from "./operation.ts";
import { OBJECT_NAME, PAGE_QUERY, TIME, pageOf } from "./schemas.ts";

const TAG = "containers";

const CONTAINER = {
  name: "Container",
  schema: z.object({
    container: z.string(),
    endpoint: z.string().meta({ description: "`<environment>/<app>/<function>`" }),
    version: z.int().meta({ description: "0 for an app that the box serves without a deployment" }),
    box: z.string(),
    state: z.enum(LISTED_CONTAINER_STATES).meta({
      description:
        "`claiming` waits for GPUs or its port; `asleep` has given its GPUs back; `draining` " +
        "finishes its calls; `stuck` has outlived SIGKILL",
    }),
    started_at: TIME.nullable().meta({ description: "null before its process has begun" }),
    calls: z.int().meta({ description: "Those that it works on" }),
    gpus: z.array(z.string()).meta({ description: "Those that it has, or has a share of" }),
    port: z.int().nullable().meta({
      description: "One that its endpoint has for itself; null where each container gets its own",
    }),
    parameters: z.string().nullable().meta({
      description: "Its set of parameters as JSON, perhaps cut; null where the endpoint has none",
    }),
  }),
};

/** A container as the API shows it. */
export type ApiContainer = z.output<typeof CONTAINER.schema>;

export const LIST_CONTAINERS = apiOperation({
  id: "listContainers",
  method: "get",
  path: "/boxes/{box}/containers",
  tag: TAG,
  summary: "List the containers of a box, by id",
  description: "The box itself is asked. Containers that have ended are not listed.",
  needs: "read",
  query: PAGE_QUERY.extend({
    cursor: CONTAINER_ID.optional().meta({
      description: "`next_cursor` of the page before; the first page without it",
    }),
  }),
  response: { status: 200, ...pageOf(CONTAINER) },
});

export const STOP_CONTAINER = apiOperation({
  id: "stopContainer",
  method: "post",
  path: "/boxes/{box}/containers/{container}/stop",
  tag: TAG,
  summary: "End a container when it has finished its calls",
  description:
    "May be repeated until it is gone. Calls that wait, or come, get another container of their endpoint.",
  needs: "deploy",
  query: z.strictObject({
    environment: OBJECT_NAME.optional().meta({
      description: "A container of another one is not found",
    }),
  }),
});
