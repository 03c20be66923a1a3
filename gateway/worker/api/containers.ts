/** `/api/v1/boxes/{box}/containers`: what runs on a box, which is asked. */
import { type ApiContainer, LIST_CONTAINERS, STOP_CONTAINER } from "../../../api/containers.ts";
import type { ContainerDescription } from "../../../routing/wire/container-descriptions.ts";
import { CONTAINER_ID } from "../../../routing/wire/container-logs.ts";
import { askBox } from "./ask-box.ts";
import { toTime } from "./documents.ts";
import { type ApiHandler, handle } from "./operation-router.ts";
import { ApiProblem } from "./problems.ts";

/** A box gives no more at once, since a page is one frame. */
const MAX_PAGE = 50;

export const CONTAINER_HANDLERS: readonly ApiHandler[] = [
  handle(LIST_CONTAINERS, async ({ env, caller, path: { box }, query: { limit, cursor } }) => {
    const { workspace } = caller;
    const after = cursor === undefined ? {} : { after: cursor };
    const page = { workspace, limit: Math.min(limit, MAX_PAGE), ...after };
    const { containers, hasMore } = await askBox(env, { workspace, box }, "listContainers", page);
    const last = containers.at(-1)?.container;
    return {
      items: containers.map((container) => toApiContainer(container, box)),
      next_cursor: hasMore && last !== undefined ? last : null,
    };
  }),
  handle(STOP_CONTAINER, async ({ env, caller, path: { box, container }, query }) => {
    const { workspace } = caller;
    const asked = { workspace, container: containerId(container), ...query };
    await askBox(env, { workspace, box }, "stopContainer", asked);
  }),
];

/** @throws {ApiProblem} for what is no container's id */
export function containerId(text: string): string {
  const id = CONTAINER_ID.safeParse(text);
  if (id.success) return id.data;
  throw new ApiProblem("not_found", "there is no container of this id");
}

function toApiContainer(described: ContainerDescription, box: string): ApiContainer {
  const { startedAt, cards, port = null, parameters = null, ...same } = described;
  const started = startedAt === undefined ? null : toTime(startedAt);
  return { ...same, box, started_at: started, gpus: cards, port, parameters };
}
