/** One large body, down or up, over one connection. */
import type { Address } from "../../support/http-client.ts";
import { HEAD_END, dial, eachAnswer, head } from "./connection.ts";
import { type LoadResult, type ServerPids, UsageWindow } from "./usage.ts";

const UPLOAD_BLOCK = Buffer.alloc(256 * 1024, "postern ");

export async function download(
  target: Address,
  pids: ServerPids,
  { bytes }: { readonly bytes: number },
): Promise<LoadResult> {
  const socket = await dial(target);
  const window = new UsageWindow(pids);
  let left: number | undefined;
  await new Promise<void>((resolve, reject) => {
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("the download was cut")));
    socket.on("data", (chunk: Buffer) => {
      // The head is one packet on every server here; its own length is what it adds.
      left ??= bytes + chunk.indexOf(HEAD_END) + HEAD_END.length;
      left -= chunk.length;
      if (left <= 0) resolve();
    });
    socket.write(head(target, `GET /bulk?${bytes}`));
  });
  const result = window.result([], bytes);
  socket.removeAllListeners("close").destroy();
  return result;
}

export async function upload(
  target: Address,
  pids: ServerPids,
  { bytes }: { readonly bytes: number },
): Promise<LoadResult> {
  const socket = await dial(target);
  const window = new UsageWindow(pids);
  const answered = eachAnswer(socket, () => false);
  socket.write(head(target, "POST /sink", `Content-Length: ${bytes}\r\n`));
  let left = bytes;
  const fill = () => {
    while (left > 0) {
      const block = UPLOAD_BLOCK.subarray(0, Math.min(left, UPLOAD_BLOCK.length));
      left -= block.length;
      if (!socket.write(block)) {
        socket.once("drain", fill);
        return;
      }
    }
  };
  fill();
  await answered;
  return window.result([], bytes);
}
