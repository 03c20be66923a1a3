/** Asks the gateway of this machine itself, past the public name and all that is in front of it. */
import { readRunning } from "../gateway/state-directory.ts";
import { ask, broken, problemOf } from "./patient.ts";
import { answererOf } from "./exchange.ts";
import { type Finding, ok, skipped } from "./finding.ts";
import { isOwnAddress } from "./own-address.ts";
import { slowAnswer } from "./slow.ts";

const CHECK = "inside";
const ADDRESS = "127.0.0.1";

/**
 * @param state the gateway's state directory
 * @param isWayBroken whether the way by the public name ended before the app
 */
export async function fromInside(
  { host, pathname, search }: URL,
  key: string | undefined,
  state: string,
  isWayBroken: boolean,
): Promise<Finding> {
  const running = readRunning(state);
  if (running === undefined) return skipped(CHECK, `no gateway runs on ${state}`);
  const url = new URL(`http://${ADDRESS}:${running.workerdPort}${pathname}${search}`);
  const gateway = { server: { url, address: ADDRESS, family: 4 }, key } as const;
  const answer = await ask(gateway, { headers: { host } });
  if (answer instanceof Error) {
    return (answer as NodeJS.ErrnoException).code === "ECONNREFUSED"
      ? skipped(CHECK, `no gateway runs on ${state}`)
      : broken(CHECK, answer);
  }
  const answerer = answererOf(answer);
  if (answerer.by === "postern" && answerer.code === "wrong_host")
    return skipped(CHECK, "the gateway on this machine does not serve this name");
  if (await isOwnAddress(answer, gateway.server, { host }))
    return skipped(CHECK, "the gateway on this machine runs; the URL is its own address");
  const cause = isWayBroken ? ": the fault is in front of the gateway" : "";
  const slow = slowAnswer(CHECK, answer, "some");
  if (slow !== undefined) return { ...slow, detail: `${slow.detail}${cause}` };
  return (
    problemOf(CHECK, answer, gateway) ??
    ok(CHECK, `${answer.status} from the app, asked at the gateway itself${cause}`)
  );
}
