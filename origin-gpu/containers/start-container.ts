/** Which kind of container an endpoint's kind needs. */
import { createHash, randomBytes } from "node:crypto";

import type { Container, ContainerOptions } from "./container.ts";
import { ProcessContainer } from "./process-container.ts";
import { UpstreamContainer } from "./upstream-container.ts";

const ID_BYTES = 8;

/**
 * An id for a container that is to come. A server that the agent does not run keeps its own over versions and agents,
 * since it goes on with what it has in memory.
 */
export function newContainerId({
  endpoint: { kind, function: name },
  environment,
}: Pick<ContainerOptions, "endpoint" | "environment">): string {
  if (kind.type !== "upstream") return idOf(randomBytes(ID_BYTES));
  const { POSTERN_BOX, POSTERN_ENVIRONMENT, POSTERN_APP } = environment;
  const place = [POSTERN_BOX, POSTERN_ENVIRONMENT, POSTERN_APP, name, kind.url];
  return idOf(createHash("sha256").update(JSON.stringify(place)).digest().subarray(0, ID_BYTES));
}

const idOf = (bytes: Buffer): string => `ct-${bytes.toString("hex")}`;

/** Starts a container of the endpoint's kind. Returns at once; a failure rejects `ready`. */
export function startContainer(options: ContainerOptions, id = newContainerId(options)): Container {
  const { kind } = options.endpoint;
  return kind.type === "upstream"
    ? new UpstreamContainer(id, kind.url, options)
    : new ProcessContainer(id, kind, options);
}
