import { expect, test } from "vitest";
import { PACKAGE_ROOT, readWorkerManifest } from "../../cli/gateway/worker-manifest.ts";
import { workerdConfig } from "../../cli/gateway/workerd-config.ts";

test("workerd runs with what wrangler.toml says of the Worker", () => {
  const manifest = readWorkerManifest(PACKAGE_ROOT);
  const config = workerdConfig(manifest, "worker.js", ["POSTERN_BASE_DOMAIN"], false);
  expect(config).toContain(`compatibilityDate = "${manifest.compatibilityDate}"`);
  for (const flag of manifest.compatibilityFlags) expect(config).toContain(`"${flag}"`);
  for (const { binding, className } of manifest.objects) {
    expect(config).toContain(`(name = "${binding}", durableObjectNamespace = "${className}")`);
  }
  expect(config).toContain(
    '(name = "POSTERN_BASE_DOMAIN", fromEnvironment = "POSTERN_BASE_DOMAIN")',
  );
});

test("the storage's keys are what they were when data was first written", () => {
  const config = workerdConfig(readWorkerManifest(PACKAGE_ROOT), "worker.js", [], true);
  expect(config).toContain('(name = "public", http = (), service = "gateway")');
  expect(config).toContain('(className = "Names", uniqueKey = "names", enableSql = true)');
  expect(config).toContain('(className = "Origin", uniqueKey = "origin", enableSql = true)');
});

test("a name that would need escaping is refused instead of written into the configuration", () => {
  expect(() => workerdConfig(readWorkerManifest(PACKAGE_ROOT), 'a", evil = "', [], false)).toThrow(
    "not a plain word",
  );
});
