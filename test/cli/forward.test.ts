/** The mistakes of `postern forward`, before anything is started. */
import { expect, test } from "vitest";
import { parseArguments } from "../../cli/arguments.ts";
import { FORWARD } from "../../cli/commands/forward.ts";

test.each([
  [["0"], '"0" is not a port from 1 to 65535'],
  [["65536"], '"65536" is not a port from 1 to 65535'],
  [["localhost:1"], '"localhost:1" is not a port'],
  [["1", "--open", "--expires", "1h"], "--expires is the key's"],
  [["1", "--expires", "5"], '--expires: "5" has no unit'],
  [["1", "--expires", "31d"], '--expires: "31d" is more than 30d'],
  [["1", "--host-header", "a b"], "--host-header must be"],
])("%j is refused", async (args, message) => {
  await expect(FORWARD.run(parseArguments(FORWARD.description, args))).rejects.toThrow(message);
});
