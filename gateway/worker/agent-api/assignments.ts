/**
 * The doors for agents of boxes that run deployed apps: what they are to run, and what they say of it
 * (docs/protocol.md, "Deployed apps"). Both need the credential of a box that is enrolled.
 */
import * as z from "zod";
import { type BoxReport, VERSION_STATES } from "../../../routing/wire/deployments.ts";
import type { Env } from "../../contracts/env.ts";
import { INCARNATION } from "../../contracts/link.ts";
import { enrolledBox } from "./links.ts";
import { workspaceStub } from "../../contracts/stubs.ts";

/** Some hundred versions, each with the last lines of a container. */
const MAX_REPORT_BYTES = 4 * 1024 * 1024;

const MAX_LINES = 20;
const MAX_LINE_CHARACTERS = 500;

/** A newer agent may say more; what it says beyond this is ignored. */
const REPORT = z.object({
  versions: z
    .array(
      z.object({
        app: z.string().max(64),
        version: z.int().min(1),
        state: z.enum(VERSION_STATES),
        detail: z.string().max(MAX_LINE_CHARACTERS),
        lines: z.array(z.string().max(MAX_LINE_CHARACTERS)).max(MAX_LINES),
      }),
    )
    .max(10_000),
  code: z.array(z.string().regex(/^[0-9a-f]{64}$/)).max(10_000),
});

/** `GET /_postern/assignments`. */
export async function answerAssignments(request: Request, env: Env): Promise<Response> {
  const box = await enrolledBox(request, env);
  if (box instanceof Response) return box;
  const assignments = await workspaceStub(env, box.workspace).assignments(box.box);
  const headers = { "content-type": "application/json", "cache-control": "no-store" };
  return new Response(assignments, { headers });
}

/** `POST /_postern/report`; 204. */
export async function takeReport(request: Request, env: Env): Promise<Response> {
  const box = await enrolledBox(request, env);
  if (box instanceof Response) return box;
  const report = await reportOf(request);
  if ("refused" in report) return line(report.refused, report.detail);
  const incarnation = request.headers.get(INCARNATION) ?? undefined;
  await workspaceStub(env, box.workspace).report(box.box, report, incarnation);
  return new Response(null, { status: 204 });
}

async function reportOf(
  request: Request,
): Promise<BoxReport | { refused: 400 | 411 | 413; detail: string }> {
  const declared = request.headers.get("content-length") ?? "";
  if (!/^\d{1,15}$/.test(declared)) return { refused: 411, detail: "a report declares its length" };
  if (Number(declared) > MAX_REPORT_BYTES) {
    return { refused: 413, detail: `a report has at most ${MAX_REPORT_BYTES} bytes` };
  }
  let value: unknown;
  try {
    value = await request.json();
  } catch {
    return { refused: 400, detail: "the report is not JSON" };
  }
  const result = REPORT.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  return { refused: 400, detail: `report.${issue?.path.join(".")}: ${issue?.message}` };
}

function line(status: number, text: string): Response {
  return new Response(`postern: ${text}\n`, { status });
}
