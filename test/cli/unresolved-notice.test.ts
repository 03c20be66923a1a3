/** Names under localhost that the system's resolver does not know: the notice has the line that makes them known. */
import { expect, test } from "vitest";
import { unresolvedNotice } from "../../cli/agent.ts";

test("the notice ends with one line for /etc/hosts that has all names", () => {
  const hosts = ["local--demo-chat.localhost", "local--demo-page.localhost"];
  expect(unresolvedNotice(hosts, "127.0.0.1")).toMatch(
    / \/etc\/hosts: 127\.0\.0\.1 local--demo-chat\.localhost local--demo-page\.localhost$/,
  );
});
