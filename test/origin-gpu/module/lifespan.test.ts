/** ASGI's rules for the lifespan. The cases are those of uvicorn's own suite, in its mode "auto". */
import { expect, test, vi } from "vitest";

import type { Application, SentEvent } from "../../../origin-gpu/module/asgi.d.ts";
import { Lifespan } from "../../../origin-gpu/module/lifespan.ts";

const COMPLETE = { type: "lifespan.startup.complete" } as const;

/** An app that sends this for `lifespan.startup`, and that for `lifespan.shutdown`. */
function app(startup: SentEvent, shutdown?: SentEvent): Application {
  return async (scope, receive, send) => {
    expect(scope).toMatchObject({
      type: "lifespan",
      asgi: { version: "3.0", spec_version: "2.0" },
      state: {},
    });
    expect(await receive()).toEqual({ type: "lifespan.startup" });
    await send(startup);
    expect(await receive()).toEqual({ type: "lifespan.shutdown" });
    if (shutdown !== undefined) await send(shutdown);
  };
}

test("startup and shutdown come in order, and each waits for the app", async () => {
  const lifespan = new Lifespan();
  const seen: string[] = [];
  const goOn = Promise.withResolvers<void>();
  const started = lifespan
    .startup(async (_, receive, send) => {
      seen.push((await receive()).type);
      await goOn.promise;
      await send(COMPLETE);
      seen.push((await receive()).type);
      await send({ type: "lifespan.shutdown.complete" });
    })
    .then((failure) => seen.push(`started ${failure}`));
  await new Promise((resolve) => setImmediate(resolve));
  expect(seen).toEqual(["lifespan.startup"]);
  goOn.resolve();
  await started;
  expect(await lifespan.shutdown()).toBeUndefined();
  expect(seen).toEqual(["lifespan.startup", "started undefined", "lifespan.shutdown"]);
});

test("what the app puts into its state stays there", async () => {
  const lifespan = new Lifespan();
  await lifespan.startup(async (scope, receive, send) => {
    await receive();
    if (scope.type === "lifespan") scope.state["model"] = 1;
    await send(COMPLETE);
  });
  expect(lifespan.state).toEqual({ model: 1 });
});

test.each<[string, Application]>([
  [
    "throws at the scope",
    async ({ type }) => {
      throw new Error(`${type} is not supported`);
    },
  ],
  ["returns at once", async () => undefined],
])("an app that %s has no lifespan, and starts", async (_, without) => {
  const lifespan = new Lifespan();
  expect(await lifespan.startup(without)).toBeUndefined();
  expect(await lifespan.shutdown()).toBeUndefined();
});

test("startup.failed is the failure of the start", async () => {
  const failed = { type: "lifespan.startup.failed" } as const;
  expect(await new Lifespan().startup(app({ ...failed, message: "no GPU here" }))).toBe(
    "no GPU here",
  );
  expect(await new Lifespan().startup(app(failed))).toBe("it gave no reason");
});

test("an exception after startup was received is a failure too, with its stack", async () => {
  const stderr = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  const failure = await new Lifespan().startup(async (_, receive) => {
    await receive();
    throw new Error("no GPU here");
  });
  expect(failure).toBe("Error: no GPU here");
  expect(stderr.mock.calls.join("")).toMatch(/no GPU here\n\s+at /);
  stderr.mockRestore();
});

test("an exception behind startup.failed is no second story", async () => {
  const stderr = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  const failure = await new Lifespan().startup(async (_, receive, send) => {
    await receive();
    await send({ type: "lifespan.startup.failed", message: "no GPU here" });
    throw new Error("again");
  });
  expect(failure).toBe("no GPU here");
  expect(stderr).not.toHaveBeenCalled();
  stderr.mockRestore();
});

test("shutdown.failed is said", async () => {
  const lifespan = new Lifespan();
  await lifespan.startup(
    app(COMPLETE, { type: "lifespan.shutdown.failed", message: "still busy" }),
  );
  expect(await lifespan.shutdown()).toBe("still busy");
});

test("an app that ends at shutdown without a word has shut down", async () => {
  const lifespan = new Lifespan();
  await lifespan.startup(app(COMPLETE));
  expect(await lifespan.shutdown()).toBeUndefined();
});

test("an event that may not come now is an error for the app", async () => {
  const outcome = Promise.withResolvers<unknown>();
  await new Lifespan().startup(async (_, receive, send) => {
    await receive();
    await send({ type: "lifespan.shutdown.complete" }).catch(outcome.resolve);
    await send(COMPLETE);
  });
  expect(String(await outcome.promise)).toMatch(/expected lifespan\.startup\.complete or failed/);
});
