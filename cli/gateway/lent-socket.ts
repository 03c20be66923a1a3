/**
 * A listening socket for workerd alone, with options that workerd does not set. A process that is started at once
 * inherits it, and this process keeps none: when that one has ended, connections are refused.
 */
import { createServer } from "node:net";
import { descriptorOf } from "../../base/node/server-descriptor.ts";
import { limitUnsent } from "./unsent-limit.ts";

/** Connections that wait while workerd starts. The kernel cuts the number to its own limit. */
const LISTEN_BACKLOG = 4096;

/**
 * Listens on this port of 127.0.0.1, and closes the socket again when `use` has returned. Node accepts when its event
 * loop turns, so it accepts nothing meanwhile.
 * @param port 0 lets the system choose
 * @param use gets the descriptor; undefined where the port is taken
 */
export async function lendSocket<Result>(
  port: number,
  use: (fd: number | undefined) => Result,
): Promise<Result> {
  const server = createServer();
  const { promise, resolve } = Promise.withResolvers<Result>();
  server.once("error", () => resolve(use(undefined)));
  server.listen({ host: "127.0.0.1", port, backlog: LISTEN_BACKLOG }, () => {
    const fd = descriptorOf(server);
    // The entrance has told the operator where there is no limit.
    limitUnsent(fd, () => undefined);
    resolve(use(fd));
    server.close();
  });
  return await promise;
}
