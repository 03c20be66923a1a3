/** A request of a box's agent, as the handlers of agent-api.ts see it, and the refusals that all of them use. */
import type { BoxIdentity } from "../../../auth/box-credential.ts";
import {
  GATEWAY_OPERATIONS,
  type GatewayOperationName,
  type GatewayOperationParameters,
  type GatewayOperationRequest,
} from "../../../routing/wire/gateway-operations.ts";
import type { Env } from "../../contracts/env.ts";
import { INCARNATION, REQUEST_NUMBER } from "../../contracts/link.ts";
import type { RequestSender } from "../../contracts/workspace/boxes.ts";
import { type BodyProblem, BodyReader } from "../edge/body-reader.ts";
import { enrolledBox } from "./credential.ts";

const bodies = new BodyReader();

/** For an agent's operator, who reads them in the box's log. */
const BODY_PROBLEMS = {
  too_large: [413, "the request is larger than it declared"],
  too_slow: [408, "the request did not arrive whole in time"],
  too_many: [429, "the box sends too much at a time"],
  broken: [400, "the request broke off"],
} as const satisfies Record<BodyProblem, readonly [status: number, line: string]>;

/** One request of a box that is enrolled, read by its operation's schemas. */
export interface AgentRequest<Name extends GatewayOperationName> {
  readonly env: Env;
  readonly box: BoxIdentity;
  readonly sender: RequestSender;
  readonly parameters: GatewayOperationParameters<Name>;
  readonly body: GatewayOperationRequest<Name>;
}

/** Reads a request; the refusal where the box is not enrolled or the request is not as the table says. */
export async function readAgentRequest<Name extends GatewayOperationName>(
  name: Name,
  request: Request,
  env: Env,
  given: Readonly<Record<string, string>>,
): Promise<AgentRequest<Name> | Response> {
  const box = await enrolledBox(request, env);
  if (box instanceof Response) return box;
  const { parameters: schemas } = GATEWAY_OPERATIONS[name];
  for (const [key, schema] of Object.entries(schemas)) {
    const parameter = schema.safeParse(given[key]);
    if (!parameter.success) return lineResponse(400, `${key}: ${problemIn(parameter.error)}`);
  }
  const body = await readBody(name, request, box);
  if (body instanceof Response) return body;
  // Each part was checked by this operation's schemas.
  return { env, box, sender: senderOf(request), parameters: given, body } as AgentRequest<Name>;
}

function senderOf({ headers }: Request): RequestSender {
  const number = headers.get(REQUEST_NUMBER) ?? "";
  return {
    incarnation: headers.get(INCARNATION) ?? undefined,
    number: /^\d{1,15}$/.test(number) ? Number(number) : undefined,
  };
}

/** A response whose body is one line for the agent's operator. */
export function lineResponse(status: number, text: string): Response {
  return new Response(`postern: ${text}\n`, { status });
}

async function readBody(
  name: GatewayOperationName,
  request: Request,
  { workspace, box }: BoxIdentity,
): Promise<unknown> {
  const row = GATEWAY_OPERATIONS[name];
  if (!("request" in row)) return undefined;
  const { schema, maxBytes } = row.request;
  const declared = request.headers.get("content-length") ?? "";
  if (!/^\d{1,15}$/.test(declared)) return lineResponse(411, "the request must declare its length");
  if (Number(declared) > maxBytes) {
    return lineResponse(413, `the request may have ${maxBytes} bytes`);
  }
  const text = await bodies.read(request, `${workspace}/${box}`, maxBytes);
  if (!text.ok) {
    const [status, line] = BODY_PROBLEMS[text.error];
    return lineResponse(status, line);
  }
  let value: unknown;
  try {
    value = JSON.parse(text.value);
  } catch {
    return lineResponse(400, "the request is not JSON");
  }
  const parsed = schema.safeParse(value);
  return parsed.success ? parsed.data : lineResponse(400, `${name}: ${problemIn(parsed.error)}`);
}

/** The first problem that a schema found, in one line. */
function problemIn({
  issues,
}: {
  issues: readonly { path: readonly PropertyKey[]; message: string }[];
}): string {
  const [issue] = issues;
  const path = issue?.path.map(String).join(".") ?? "";
  return `${path === "" ? "" : `${path}: `}${issue?.message ?? "not valid"}`;
}
