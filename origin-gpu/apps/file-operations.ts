/** Answers boxes that lack a file of a Gradio endpoint. */
import type { Failure } from "../../routing/wire/messages.ts";
import { BytesDelivery } from "../link/bytes-delivery.ts";
import { type OperationHandlers, refuse } from "../link/operation-server.ts";
import type { AppRuntimes } from "./app-runtimes.ts";

const MISSING: Failure = { code: "not_found", detail: "the box has no such file" };

const UNREADABLE: Failure = { code: "unavailable", detail: "the box can't read the file" };

export function fileOperations(apps: Pick<AppRuntimes, "find">): OperationHandlers<"getFile"> {
  return {
    getFile: ({ endpoint, ...file }, { stream }) => {
      const files = apps.find(endpoint)?.files;
      if (files === undefined) return refuse(stream, MISSING);
      return new BytesDelivery(
        stream,
        async () => await files.open(file),
        MISSING,
        () => UNREADABLE,
      );
    },
  };
}
