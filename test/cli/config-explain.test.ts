import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryDirectory } from "../support/temporary.ts";
import { postern } from "./postern.ts";

function directoryOfOllama(): string {
  const directory = temporaryDirectory();
  const lines = [
    'app = "home"',
    "[[endpoint]]",
    'function = "llm"',
    'upstream = "http://127.0.0.1:11434"',
    'app_kind = "ollama"',
    "max_inputs = 4",
  ];
  writeFileSync(join(directory, "postern.toml"), lines.join("\n"));
  return directory;
}

test("config explain prints every setting of the app, and where it came from", async () => {
  const { code, stdout, stderr } = await postern(["config", "explain"], {
    cwd: directoryOfOllama(),
  });
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toMatch(/^# the app\nKEY +FROM +VALUE\napp +file +"home"\n/);
  expect(stdout).toMatch(/\n\n# endpoint llm\n/);
  expect(stdout).toMatch(/\nmax_inputs +file +4\n/);
  expect(stdout).toMatch(/\nhost_header +preset +"local"\n/);
  expect(stdout).toMatch(/\nrequest_timeout +default +the gateway's, 150\n/);
});

test("config explain --json prints the same for programs", async () => {
  const args = ["config", "explain", "postern.toml", "--json"];
  const { code, stdout } = await postern(args, { cwd: directoryOfOllama() });
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    app: { app: { value: "home", from: "file" } },
    endpoints: [
      {
        function: "llm",
        settings: {
          max_inputs: { value: 4, from: "file" },
          affinity: { value: "llm", from: "preset" },
          timeout: { value: 300, from: "default" },
        },
      },
    ],
  });
});

test.each([
  'auth = { oidc = { issuer = "https://id.example", client_id = "c", emails = ["*@a.b"] } }',
  "requires_app_token = true",
])("config explain says that %s locks the endpoint", async (line) => {
  const directory = temporaryDirectory();
  const file = `app = "home"\n[[endpoint]]\nfunction = "ui"\nupstream = "http://127.0.0.1:80"\n${line}\n`;
  writeFileSync(join(directory, "postern.toml"), file);
  const { code, stdout } = await postern(["config", "explain"], { cwd: directory });
  expect(code).toBe(0);
  expect(stdout).toMatch(/\nrequires_proxy_auth +file +true\n/);
});

test("config explain refuses a wrong file as the other commands do", async () => {
  const directory = directoryOfOllama();
  writeFileSync(join(directory, "postern.toml"), 'app = "home"\n');
  const { code, stdout, stderr } = await postern(["config", "explain"], { cwd: directory });
  expect([code, stdout]).toEqual([1, ""]);
  expect(stderr).toContain("there is no endpoint");
});
