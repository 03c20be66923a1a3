/**
 * Loaded before a command (`npm run test:e2e:requests`): its workerd takes Worker and objects for two isolates, so that
 * each call between them is a request, as on Cloudflare.
 */
import childProcess from "node:child_process";
import { syncBuiltinESMExports } from "node:module";

const { spawn } = childProcess;

function isWorkerd(file: unknown): boolean {
  return typeof file === "string" && file.includes("/workerd");
}

childProcess.spawn = ((file: string, args: readonly string[], options: childProcess.SpawnOptions) =>
  spawn(
    file,
    args,
    isWorkerd(file) ? { ...options, env: { ...options.env, POSTERN_ONE_ISOLATE: "0" } } : options,
  )) as typeof spawn;
syncBuiltinESMExports();
