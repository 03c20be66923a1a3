/** Errors of an endpoint that is marked as one of OpenAI's API. */
import { expect, test } from "vitest";
import { announcement, ask, connectAgent } from "../../fake-agent.ts";

async function failing(box: string, api?: "openai"): Promise<Record<string, unknown>> {
  const endpoint = announcement(box, "f");
  const settings = { ...endpoint.settings, ...(api !== undefined && { api }) };
  await connectAgent(box, {
    endpoints: [{ ...endpoint, settings }],
    open: (stream) => {
      stream.reset({ code: "origin_error", detail: "the app broke the exchange" });
      return {};
    },
  });
  const headers = { accept: "application/json" };
  const response = await ask(`local--${box}-f`, "/v1/chat", {
    method: "POST",
    body: "{}",
    headers,
  });
  expect(response.status).toBe(502);
  return await response.json();
}

test("an error has the member that OpenAI's SDKs show", async () => {
  expect(await failing("openai-errors", "openai")).toMatchObject({
    code: "origin_error",
    error: {
      message: "the app broke the exchange",
      type: "server_error",
      code: "origin_error",
      param: null,
    },
  });
});

test("an error of another endpoint has none", async () => {
  expect(await failing("other-errors")).not.toHaveProperty("error");
});
