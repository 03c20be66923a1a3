/**
 * A server on $PORT that notes what happens to it in the file $NOTES, which test/support/notes.ts reads: its own start,
 * and of each call the beginning and the end. A call takes $WORK_MS. $GPU names an abstract socket, which stands for the
 * memory of a GPU: a process that does not get it ends with "CUDA out of memory".
 */
import { appendFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createLock } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

const { NOTES = "", WORK_MS = "0", GPU, PORT, POSTERN_CONTAINER_ID = "" } = process.env;

/** Small writes to the end of a file are whole, whoever else writes there. */
function note(...words: readonly (string | number)[]): void {
  appendFileSync(NOTES, `${words.join(" ")}\n`);
}

const server = createServer((request, response) => {
  const call = String(request.headers["postern-call-id"]);
  note("begins", call, request.url ?? "", POSTERN_CONTAINER_ID);
  void delay(Number(WORK_MS)).then(() => {
    note("ends", call);
    response.end(POSTERN_CONTAINER_ID);
  });
});

function serve(): void {
  note("container", POSTERN_CONTAINER_ID, process.pid, PORT ?? "");
  server.listen(Number(PORT), "127.0.0.1");
}

if (GPU === undefined) serve();
else {
  createLock()
    .once("error", () => {
      console.error("torch.OutOfMemoryError: CUDA out of memory");
      process.exit(1);
    })
    .listen(`\0${GPU}`, serve);
}
