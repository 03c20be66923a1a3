/**
 * Loaded before a gateway: its Worker's own requests, which reach public addresses alone, go to 127.0.0.1 at the port of
 * OUTSIDE_PORT, whatever name they are for, and in the clear.
 */
import childProcess from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const { spawn } = childProcess;
const OUTSIDE = `(name = "internet", external = (address = "127.0.0.1:${process.env["OUTSIDE_PORT"] ?? ""}", http = ())),`;

childProcess.spawn = ((
  file: string,
  args: readonly string[],
  options: childProcess.SpawnOptions,
) => {
  const [command, configPath = ""] = args;
  if (file.includes("/workerd") && command === "serve") {
    const config = readFileSync(configPath, "utf8");
    writeFileSync(configPath, config.replace("services = [", `services = [\n    ${OUTSIDE}`));
  }
  return spawn(file, args, options);
}) as typeof spawn;
syncBuiltinESMExports();
