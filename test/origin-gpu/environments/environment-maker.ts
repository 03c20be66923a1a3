/** An agent that makes one environment. Arguments: where, the interpreter's folder, its requirements. */
import { join } from "node:path";
import { PythonEnvironments } from "../../../origin-gpu/environments/python-environments.ts";
import { endpointConfig } from "../containers/endpoint.ts";

const [directory = "", programs = "", ...requirements] = process.argv.slice(2);
const environments = new PythonEnvironments({ directory, inherited: process.env });
const kind = { type: "asgi", target: "server:app" } as const;
const endpoint = endpointConfig({ kind, python: join(programs, "python"), requirements });
await environments.use(endpoint, (line) => console.log(line));
