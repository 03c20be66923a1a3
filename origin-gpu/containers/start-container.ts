/** Which kind of container an endpoint's kind needs. */
import { randomBytes } from "node:crypto";

import type { Container, ContainerOptions } from "./container.ts";
import { ProcessContainer } from "./process-container.ts";
import { UpstreamContainer } from "./upstream-container.ts";

/** Starts a container of the endpoint's kind. Returns at once; a failure rejects `ready`. */
export function startContainer(options: ContainerOptions): Container {
  const id = `ct-${randomBytes(8).toString("hex")}`;
  const { kind } = options.endpoint;
  return kind.type === "upstream"
    ? new UpstreamContainer(id, kind.url, options)
    : new ProcessContainer(id, kind, options);
}
