/** Findings of an app that takes longer than its clients wait: they get a result URL in its answer's place. */
import { hasResultUrl, type TriedAnswer } from "./exchange.ts";
import { failed, type Finding, skipped, warning } from "./finding.ts";

const REMEDY =
  "set request_timeout = false, or to more than the app takes, or have the client send Prefer: wait=N (docs/calls.md)";

/** Which of the clients that ask like a try follow a redirect. */
type Followers = "all" | "some" | "none";

/** The finding where Postern answers with a result URL; undefined for any other answer. */
export function slowAnswer(
  check: string,
  answer: TriedAnswer,
  followers: Followers,
): Finding | undefined {
  if (!hasResultUrl(answer)) return undefined;
  const detail = `${answer.status} with a result URL: the app gave no answer in ${(answer.endMs / 1_000).toFixed(1)} s`;
  switch (followers) {
    case "all":
      return skipped(check, `${detail}, and such a client follows it`);
    case "some":
      return warning(
        check,
        detail,
        `clients that follow no redirect end there: curl without -L, and httpx or Java's HttpClient under another User-Agent than their own; ${REMEDY}`,
      );
    case "none":
      return failed(check, detail, `such a client follows no redirect of a POST; ${REMEDY}`);
  }
}
