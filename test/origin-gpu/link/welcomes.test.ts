import { expect, test, vi } from "vitest";
import { Welcomes } from "../../../origin-gpu/link/welcomes.ts";

test("calls hear that each link was welcomed, and of another process that holds the clients, once", () => {
  const calls = { onWelcomed: vi.fn(), onClientsGone: vi.fn() };
  const welcomes = new Welcomes([0, 1]);
  const welcome = (link: number, process?: string): boolean => {
    const isFirst = welcomes.note(link, process === undefined ? {} : { process });
    welcomes.tell(calls);
    return isFirst;
  };
  expect(welcome(0, "first")).toBe(true);
  expect(calls.onWelcomed).not.toHaveBeenCalled();
  expect(welcome(1, "first")).toBe(true);
  expect(calls.onWelcomed).toHaveBeenCalledOnce();
  // A link that was lost is back, at a gateway that lives, or that does not name itself.
  expect(welcome(0, "first")).toBe(false);
  welcome(0);
  expect(calls.onClientsGone).not.toHaveBeenCalled();
  welcome(0, "second");
  welcome(1, "second");
  expect(calls.onClientsGone).toHaveBeenCalledOnce();
});

test("calls that are read only later hear what came before", () => {
  const calls = { onWelcomed: vi.fn(), onClientsGone: vi.fn() };
  const welcomes = new Welcomes([0]);
  for (const process of ["first", "second"]) {
    welcomes.note(0, { process });
    welcomes.tell(undefined);
  }
  welcomes.tell(calls);
  expect([calls.onWelcomed, calls.onClientsGone].map(({ mock }) => mock.calls.length)).toEqual([
    1, 1,
  ]);
});
