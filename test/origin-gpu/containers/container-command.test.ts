import { expect, test } from "vitest";
import { withVariables } from "../../../origin-gpu/containers/container-command.ts";

const VARIABLES = {
  PORT: "41000",
  POSTERN_WEB_URL: "https://ws--chat.example.com",
  POSTERN_WEB_HOST: "ws--chat.example.com",
  SECRET: "s",
};

test.each([
  ["$PORT", "41000"],
  ["--bind=127.0.0.1:${PORT}", "--bind=127.0.0.1:41000"],
  ["$POSTERN_WEB_URL/path", "https://ws--chat.example.com/path"],
  ["$POSTERN_WEB_HOST,${POSTERN_WEB_HOST}", "ws--chat.example.com,ws--chat.example.com"],
  ["$PORTAL $POSTERN_WEB_URLS ${PORT $SECRET $", "$PORTAL $POSTERN_WEB_URLS ${PORT $SECRET $"],
])("the word %s becomes %s", (word, replaced) => {
  expect(withVariables([word], VARIABLES)).toEqual([replaced]);
});

test("a variable that the container does not have stays a word", () => {
  expect(withVariables(["$POSTERN_WEB_URL"], { PORT: "1" })).toEqual(["$POSTERN_WEB_URL"]);
});
