/**
 * The door at which a box gets the secrets of the apps that it announces (docs/protocol.md, "Secrets").
 * Those of deployed apps come with their assignments.
 */
import * as z from "zod";
import type { Env } from "../../contracts/env.ts";
import { enrolledBox } from "./links.ts";
import { workspaceStub } from "../../contracts/stubs.ts";

const MAX_REQUEST_BYTES = 64 * 1024;

const REQUEST = z.object({
  environment: z.string().max(64),
  names: z.array(z.string().max(64)).max(100),
});

/** `POST /_postern/secrets`: names to variables, for the memory of the agent alone. */
export async function answerSecrets(request: Request, env: Env): Promise<Response> {
  const box = await enrolledBox(request, env);
  if (box instanceof Response) return box;
  const asked = await askedFor(request);
  if (asked === undefined) return line(400, "say an environment and the names of its secrets");
  const { environment, names } = asked;
  const stub = workspaceStub(env, box.workspace);
  const read = await stub.secretsOfBox(box.box, environment, names);
  if (read === undefined) {
    return line(403, `box ${box.box} serves no app of its own in environment ${environment}`);
  }
  const [problem] = read.problems;
  if (problem !== undefined) return line(404, problem);
  return Response.json(read.values, { headers: { "cache-control": "no-store" } });
}

async function askedFor(request: Request): Promise<z.output<typeof REQUEST> | undefined> {
  const declared = request.headers.get("content-length") ?? "";
  if (!/^\d{1,15}$/.test(declared) || Number(declared) > MAX_REQUEST_BYTES) return undefined;
  try {
    return REQUEST.parse(await request.json());
  } catch {
    return undefined;
  }
}

function line(status: number, text: string): Response {
  return new Response(`postern: ${text}\n`, { status });
}
