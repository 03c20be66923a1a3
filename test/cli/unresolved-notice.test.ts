/** Names under localhost that the system's resolver does not know: the notice has the line that makes them known. */
import { expect, onTestFinished, test, vi } from "vitest";
import { printUrls, unresolvedNotice } from "../../cli/printed-urls.ts";
import { observer } from "../../cli/observer.ts";

/** A system whose resolver knows these alone. */
const resolvable = vi.hoisted(() => new Set<string>());
vi.mock("node:dns/promises", () => ({
  async lookup(host: string) {
    if (!resolvable.has(host)) throw new Error(`ENOTFOUND ${host}`);
    return await Promise.resolve({ address: "127.0.0.1", family: 4 });
  },
}));

test("the notice ends with one line for /etc/hosts that has all names", () => {
  const hosts = ["local--demo-chat.localhost", "local--demo-page.localhost"];
  expect(unresolvedNotice(hosts, "127.0.0.1")).toMatch(
    / \/etc\/hosts: 127\.0\.0\.1 local--demo-chat\.localhost local--demo-page\.localhost$/,
  );
});

test("URLs that are printed again, as after an edit, have the notice once, with the names that are unknown", async () => {
  const notices: string[] = [];
  const noticed = vi.spyOn(observer, "notice").mockImplementation((text) => notices.push(text));
  const written = vi.spyOn(process.stdout, "write").mockReturnValue(true);
  onTestFinished(() => {
    noticed.mockRestore();
    written.mockRestore();
  });
  const url = (name: string) => ({ function: name, url: `http://local--demo-${name}.localhost` });
  const options = { json: false, gatewayUrl: "http://localhost", address: "127.0.0.1" };
  resolvable.add("local--demo-known.localhost");
  await printUrls([url("known")], options);
  expect(notices).toEqual([]);
  await printUrls([url("known"), url("chat")], options);
  await printUrls([url("chat"), url("page")], options);
  expect(notices).toEqual([unresolvedNotice(["local--demo-chat.localhost"], "127.0.0.1")]);
  expect(written.mock.calls.join("")).toContain("http://local--demo-page.localhost");
});
