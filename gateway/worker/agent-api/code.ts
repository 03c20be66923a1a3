/**
 * `GET /_postern/code/{hash}`: a box that lacks an app's code gets it from another box of its workspace
 * that has it, over the links of both. The gateway keeps no code; it passes the bytes on.
 */
import { contentLength, type ResponseHead } from "../../../routing/wire/heads.ts";
import { discardBody } from "../../contracts/attempt.ts";
import { askAgent } from "../proxy/agent-client.ts";
import { isCodeHash } from "../api/boxes.ts";
import type { Env } from "../../contracts/env.ts";
import { enrolledBox } from "./links.ts";
import { workspaceStub } from "../../contracts/stubs.ts";

/** The bytes of packed code, from whichever connected box has it; 404 with a line where none has. */
export async function relayCode(request: Request, env: Env, hash: string): Promise<Response> {
  const asking = await enrolledBox(request, env);
  if (asking instanceof Response) return asking;
  if (!isCodeHash(hash)) return line(400, "code is named by its SHA-256 in 64 hex digits");
  const { workspace } = asking;
  const holders = await workspaceStub(env, workspace).holdersOfCode(hash);
  for (const holder of holders) {
    if (holder.box === asking.box) continue;
    const question = { method: "GET", target: `/code/${hash}` } as const;
    const answer = await askAgent(env, workspace, holder, question);
    if (answer.kind !== "response") continue;
    if (answer.head.status === 200) {
      return new Response(answer.body, { headers: headersOf(answer.head) });
    }
    await discardBody(answer.body);
  }
  const short = hash.slice(0, 12);
  return line(
    404,
    `no connected box has the code ${short}; deploy it again, or connect one that has`,
  );
}

/** With the length that the box declares, so that a short body is seen to be one. */
function headersOf({ headers }: ResponseHead): Record<string, string> {
  const length = contentLength(headers);
  const declared = length === undefined ? {} : { "content-length": `${length}` };
  return { "content-type": "application/octet-stream", ...declared };
}

function line(status: number, text: string): Response {
  return new Response(`postern: ${text}\n`, { status });
}
