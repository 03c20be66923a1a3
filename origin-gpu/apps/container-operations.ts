/** Operations on this box's containers: lists of them, and the end of one by hand. */
import type { ContainerDescription } from "../../routing/wire/container-descriptions.ts";
import type { Failure } from "../../routing/wire/messages.ts";
import { type OperationHandlers, refuse, reply, replyNothing } from "../link/operation-server.ts";

type ContainerOperation = "listContainers" | "stopContainer";

/** The part of `AppRuntimes` that knows containers. */
export interface ContainerListing {
  /** All that are not gone, of versions that end too. */
  readonly containers: readonly ContainerDescription[];
  /** Ends one when it has finished its calls. @returns false where there is none of this id */
  stopContainer(container: string): boolean;
}

/** @param own the box's workspace */
export function containerOperations(
  listing: ContainerListing,
  own: string,
): OperationHandlers<ContainerOperation> {
  return {
    listContainers: ({ workspace, limit, after = "" }, { stream }) => {
      if (workspace !== own) return refuse(stream, NO_CONTAINER);
      const rest = listing.containers
        .filter(({ container }) => container > after)
        .toSorted((one, other) => (one.container < other.container ? -1 : 1));
      const page = { containers: rest.slice(0, limit), hasMore: rest.length > limit };
      return reply(stream, "listContainers", page);
    },
    stopContainer: ({ workspace, container, environment }, { stream }) => {
      const found = listing.containers.find((one) => one.container === container);
      const isOf = environment === undefined || found?.endpoint.startsWith(`${environment}/`);
      if (workspace !== own || isOf !== true || !listing.stopContainer(container)) {
        return refuse(stream, NO_CONTAINER);
      }
      return replyNothing(stream);
    },
  };
}

const NO_CONTAINER: Failure = { code: "not_found", detail: "the box has no such container" };
