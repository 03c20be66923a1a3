import { expect, test } from "vitest";
import { containerOperations } from "../../../origin-gpu/apps/container-operations.ts";
import type { ContainerDescription } from "../../../routing/wire/container-descriptions.ts";
import type { Failure } from "../../../routing/wire/messages.ts";
import type { Stream } from "../../../routing/wire/multiplexer.ts";

function containerOf(number: number, endpoint = "main/shop/web"): ContainerDescription {
  const container = `ct-${number.toString(16).padStart(16, "0")}`;
  return { container, endpoint, version: 1, state: "ready", calls: 0, cards: [] };
}

/** A box with these containers, asked by an operation. */
function box(...containers: ContainerDescription[]) {
  const stopped: string[] = [];
  const listing = {
    containers,
    stopContainer: (id: string) => {
      stopped.push(id);
      return containers.some(({ container }) => container === id);
    },
  };
  const { listContainers, stopContainer } = containerOperations(listing, "w");
  const request = () => {
    let answer: unknown;
    const stream = {
      window: 1e6,
      sendHead: (_head: string, [body]: Uint8Array[]) =>
        void (answer = body === undefined ? "done" : JSON.parse(Buffer.from(body).toString())),
      refuse: ({ code }: Failure) => void (answer = code),
    } as unknown as Stream;
    return { opened: { stream, body: new Uint8Array(0), end: true }, answer: () => answer };
  };
  return {
    stopped,
    list: (parameters: Parameters<typeof listContainers>[0]) => {
      const { opened, answer } = request();
      listContainers(parameters, opened);
      return answer();
    },
    stop: (parameters: Parameters<typeof stopContainer>[0]) => {
      const { opened, answer } = request();
      stopContainer(parameters, opened);
      return answer();
    },
  };
}

test("containers are listed by their ids, page by page, each once", () => {
  const all = [3, 1, 2].map((number) => containerOf(number));
  const { list } = box(...all);
  const [third, first, second] = all;
  expect(list({ workspace: "w", limit: 2 })).toEqual({
    containers: [first, second],
    hasMore: true,
  });
  const after = second?.container ?? "";
  expect(list({ workspace: "w", limit: 2, after })).toEqual({
    containers: [third],
    hasMore: false,
  });
});

test("another workspace is told of none, and ends none", () => {
  const one = containerOf(1);
  const { list, stop, stopped } = box(one);
  expect(list({ workspace: "another", limit: 2 })).toBe("not_found");
  expect(stop({ workspace: "another", container: one.container })).toBe("not_found");
  expect(stopped).toEqual([]);
});

test.each([
  [containerOf(1).container, undefined, "done"],
  [containerOf(1).container, "main", "done"],
  [containerOf(1).container, "mai", "not_found"],
  [containerOf(2).container, undefined, "not_found"],
])("the stop of %s of environment %s is answered: %s", (container, environment, answer) => {
  const { stop, stopped } = box(containerOf(1));
  expect(stop({ workspace: "w", container, environment })).toBe(answer);
  if (answer === "done") expect(stopped).toEqual([container]);
});
