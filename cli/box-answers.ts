/** Asks boxes what they alone know: the one that the user names, or all that are connected. */
import { LIST_BOXES } from "../api/boxes.ts";
import { type ApiClient, Unavailable } from "./client.ts";
import { CommandFailure } from "./failure.ts";
import { printNotice } from "./output.ts";

export const BOX_OPTION = {
  box: { type: "string", value: "NAME", summary: "the box that runs it (all that are connected)" },
} as const;

/**
 * Yields the answer of the box that the user named, or those of all connected boxes, one after the other. Among
 * all boxes, one that is unavailable is passed over with a notice.
 * @throws CommandFailure when no box is connected
 */
export async function* boxAnswers<Answer>(
  client: ApiClient,
  named: string | undefined,
  ask: (box: string) => Promise<Answer>,
): AsyncGenerator<Answer> {
  if (named !== undefined) {
    yield await ask(named);
    return;
  }
  for (const name of await connectedBoxes(client)) {
    try {
      yield await ask(name);
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      printNotice(`${name}: ${error.message}`);
    }
  }
}

/** @throws CommandFailure when no box is connected */
async function connectedBoxes(client: ApiClient): Promise<string[]> {
  const boxes = await client.list(LIST_BOXES, {});
  const connected = boxes.filter((box) => box.connected).map(({ name }) => name);
  if (connected.length > 0) return connected;
  throw new CommandFailure("no box is connected, and boxes alone know what runs there");
}
