/**
 * The API's errors. A handler throws one, and this file makes a problem document of it (RFC 9457). The document's
 * type does not depend on the client's Accept header, because the API's clients are programs.
 */
import * as z from "zod";
import { problem } from "../../../routing/problem.ts";
import { ERRORS, type ErrorCode } from "../../../routing/wire/errors.ts";

export class ApiProblem extends Error {
  override readonly name = "ApiProblem";
  readonly code: ErrorCode;
  readonly members: Readonly<Record<string, unknown>> | undefined;

  /** @param members more of the document, for programs */
  constructor(code: ErrorCode, detail: string, members?: Readonly<Record<string, unknown>>) {
    super(detail);
    this.code = code;
    this.members = members;
  }
}

/** The answer to whatever a handler threw. Only what was meant for the client reaches it. */
export function problemResponse(error: Error): Response {
  const { code, message, members } = error instanceof ApiProblem ? error : unexpected(error);
  const { status, headers, body } = problem(code, message, {
    accept: "application/problem+json",
    members,
  });
  return new Response(body, { status, headers });
}

/** An object that was reset or could not be reached. Its own words are for the operator. */
function unexpected(error: Error): ApiProblem {
  console.error(error);
  return new ApiProblem("unavailable", "the workspace did not answer; try again");
}

/** The problem for input that a schema refuses: all issues, as a sentence and as a list. */
export function invalid(where: string, error: z.core.$ZodError): ApiProblem {
  const errors = error.issues.map((issue) => ({
    at: [where, ...issue.path.map(String)].join("."),
    message: messageOf(issue),
  }));
  const detail = errors.map(({ at, message }) => `${at}: ${message}`).join("; ");
  return new ApiProblem("parameter_invalid", detail, { errors });
}

/** Says nothing of the input: it may be a secret. */
function messageOf(issue: z.core.$ZodIssue): string {
  if (issue.code === "invalid_type" && issue.input === undefined) return "is required";
  // Of a record's key that is wrong, only the inner issue says why.
  const [inner] = issue.code === "invalid_key" ? issue.issues : [];
  return (inner ?? issue).message;
}

/** As the OpenAPI document shows it. */
export const PROBLEM = {
  name: "Problem",
  schema: z
    .looseObject({
      title: z.string(),
      status: z.int().min(400).max(599),
      detail: z.string(),
      code: z.enum(Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]]),
    })
    .meta({ description: "RFC 9457; switch on `code`, which is stable" }),
};
