/** Which kind of container an endpoint's kind needs. */
import { randomBytes } from "node:crypto";

import type { Container, ContainerOptions } from "./container.ts";
import { ProcessContainer } from "./process-container.ts";
import { UpstreamContainer } from "./upstream-container.ts";

/** An id for a container that is to come. */
export function newContainerId(): string {
  return `ct-${randomBytes(8).toString("hex")}`;
}

/** Starts a container of the endpoint's kind. Returns at once; a failure rejects `ready`. */
export function startContainer(options: ContainerOptions, id = newContainerId()): Container {
  const { kind } = options.endpoint;
  return kind.type === "upstream"
    ? new UpstreamContainer(id, kind.url, options)
    : new ProcessContainer(id, kind, options);
}
