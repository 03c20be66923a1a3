/**
 * Loaded into a gateway before its own code (`--import`): workerd opens an inspector on INSPECTOR_PORT. The gateway itself
 * has no such setting, since who reaches an inspector may run any code in the Worker.
 */
import childProcess, { type ChildProcess } from "node:child_process";
import { syncBuiltinESMExports } from "node:module";

type Spawn = (program: string, words: readonly string[], options: object) => ChildProcess;

const spawn = childProcess.spawn as Spawn;
const inspected: Spawn = (program, words, options) => {
  const port = process.env["INSPECTOR_PORT"];
  const more = words[0] === "serve" ? [`--inspector-addr=127.0.0.1:${port}`] : [];
  return spawn(program, [...words, ...more], options);
};
Object.assign(childProcess, { spawn: inspected });
syncBuiltinESMExports();
