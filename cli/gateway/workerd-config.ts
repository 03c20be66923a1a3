/**
 * Writes workerd's configuration for a self-hosted gateway, as Cap'n Proto text. It contains neither secrets nor
 * settings: workerd gets these as environment variables, and the storage's path on its command line.
 */

import type { WorkerManifest } from "./worker-manifest.ts";

/** The socket's and the disk service's names, for workerd's command line and control messages. */
export const SOCKET_NAME = "http";
export const PUBLIC_SOCKET_NAME = "public";
export const DISK_NAME = "objects";

/** The Worker's way to a resolver, which may be in the operator's own network; its own fetch reaches public addresses. */
const RESOLVER_BINDING = "RESOLVER";

/**
 * V8's young generation is 1 MiB and stays so. Each collection of it goes through all of workerd's objects that were made
 * since the last one, and all requests wait meanwhile: 1 ms instead of up to 13 (`node test/bench/over-limit.ts`).
 */
const V8_FLAGS = ["--max-semi-space-size=1"];

/**
 * @param variables names of the environment variables that the Worker sees under the same names
 * @param isPublic workerd inherits the socket to which clients connect, besides its own
 */
export function workerdConfig(
  manifest: WorkerManifest,
  bundleFile: string,
  variables: readonly string[],
  isPublic: boolean,
): string {
  const publicSocket = `
    (name = ${text(PUBLIC_SOCKET_NAME)}, http = (), service = "gateway"),`;
  const bindings = [
    ...variables.map((name) => `(name = ${text(name)}, fromEnvironment = ${text(name)})`),
    ...manifest.objects.map(
      ({ binding, className }) =>
        `(name = ${text(binding)}, durableObjectNamespace = ${text(className)})`,
    ),
    // For the hosts of POSTERN_IDENTITY_HOSTS alone (gateway/worker/edge/identity-fetch.ts).
    '(name = "IDENTITY_NETWORK", service = "identity")',
  ];
  bindings.push(`(name = ${text(RESOLVER_BINDING)}, service = "resolver")`);
  const namespaces = manifest.objects.map(
    ({ className }) =>
      `(className = ${text(className)}, uniqueKey = ${text(uniqueKeyOf(className))}, enableSql = true)`,
  );
  return `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "gateway", worker = .gateway),
    (name = ${text(DISK_NAME)}, disk = (writable = true)),
    (name = "identity", network = (allow = ["public", "private"], tlsOptions = (trustBrowserCas = true))),
    (name = "resolver", network = (
      allow = ["public", "private", "local"],
      tlsOptions = (trustBrowserCas = true),
    )),
  ],
  v8Flags = ${list(V8_FLAGS.map(text))},
  sockets = [
    (name = ${text(SOCKET_NAME)}, address = "127.0.0.1:0", http = (), service = "gateway"),${isPublic ? publicSocket : ""}
  ],
);

const gateway :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed ${text(bundleFile)})],
  compatibilityDate = ${text(manifest.compatibilityDate)},
  compatibilityFlags = ${list(manifest.compatibilityFlags.map(text))},
  bindings = ${list(bindings)},
  durableObjectNamespaces = ${list(namespaces)},
  durableObjectStorage = (localDisk = ${text(DISK_NAME)}),
);
`;
}

/**
 * A class's folder in the storage, and part of each object's id. The class's first published name fixes it for ever: a
 * renamed class must keep its old key here.
 */
function uniqueKeyOf(className: string): string {
  return className.toLowerCase();
}

/** Quotes names, dates and flags of our own, which need no escape. */
function text(value: string): string {
  if (!/^[\w./=-]+$/.test(value)) throw new Error(`not a plain word: ${value}`);
  return `"${value}"`;
}

function list(items: readonly string[]): string {
  return items.length === 0 ? "[]" : `[\n    ${items.join(",\n    ")},\n  ]`;
}
