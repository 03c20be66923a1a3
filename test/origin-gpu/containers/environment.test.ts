import { describe, expect, test } from "vitest";

import { containerEnvironment, pathWithNode } from "../../../origin-gpu/containers/environment.ts";

describe("a container's environment", () => {
  test("what the agent gives wins over env, and env over what the agent itself has", () => {
    const environment = containerEnvironment({
      inherited: { A: "inherited", B: "inherited", C: "inherited", GONE: undefined },
      configured: { B: "configured", C: "configured" },
      given: { C: "given" },
    });
    expect(environment).toMatchObject({ A: "inherited", B: "configured", C: "given" });
    expect(environment).not.toHaveProperty("GONE");
  });

  test("the agent's own settings and credentials stay with the agent", () => {
    const inherited = { POSTERN_TOKEN_SECRET: "as-x", POSTERN_URL: "https://x", POSTERN: "kept" };
    const environment = containerEnvironment({ inherited, configured: {}, given: {} });
    expect(environment).toEqual({ POSTERN: "kept", PYTHONUNBUFFERED: "1" });
  });

  test("another user's programs look for their files where that user has them", () => {
    const inherited = {
      HOME: "/home/agent",
      USER: "agent",
      XDG_CACHE_HOME: "/home/agent/.cache",
      LANG: "C",
    };
    const user = { name: "apps", home: "/home/apps" };
    const given = { PORT: "1" };
    expect(containerEnvironment({ inherited, user, configured: {}, given })).toEqual({
      HOME: "/home/apps",
      USER: "apps",
      LOGNAME: "apps",
      LANG: "C",
      PORT: "1",
      PYTHONUNBUFFERED: "1",
    });
    const configured = { HOME: "/data", XDG_CACHE_HOME: "/data/cache" };
    expect(containerEnvironment({ inherited, user, configured, given })).toMatchObject(configured);
  });

  test("Python's output is unbuffered unless somebody decides otherwise", () => {
    const configured = { PYTHONUNBUFFERED: "" };
    expect(containerEnvironment({ inherited: {}, configured, given: {} })).toEqual(configured);
  });
});

describe("PATH", () => {
  const files: Record<string, string> = {
    "/pinned/bin/node": "/pinned/bin/node",
    "/usr/bin/node": "/usr/bin/node20",
    "/app/bin/node": "/pinned/bin/node",
  };
  const resolvePath = (file: string): string => {
    const found = files[file];
    if (found === undefined) throw new Error("ENOENT");
    return found;
  };

  test.each([
    ["another node comes first", "/usr/bin:/bin", "/pinned/bin:/usr/bin:/bin"],
    ["there is no node", "/bin", "/pinned/bin:/bin"],
    ["there is no PATH", "", "/pinned/bin"],
    ["a later entry is the right one", "/usr/bin:/app/bin", "/pinned/bin:/usr/bin:/app/bin"],
  ])("gets the agent's Node in front where %s", (_case, path, expected) => {
    expect(pathWithNode(path, "/pinned/bin/node", resolvePath)).toBe(expected);
  });

  test.each(["/bin:/app/bin:/usr/bin", "/pinned/bin:/usr/bin"])("stays as it is: %s", (path) => {
    expect(pathWithNode(path, "/pinned/bin/node", resolvePath)).toBe(path);
  });
});
