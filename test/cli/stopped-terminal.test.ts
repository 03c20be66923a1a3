import { join } from "node:path";
import { expect, it } from "vitest";
import { ManagedProcess } from "../support/processes.ts";
import { withUnreadPipe } from "../support/unread-pipe.ts";

const PRINTER = join(import.meta.dirname, "support/printer.ts");

/** Runs a program with a terminal for its stderr that nobody reads, as after Ctrl-S. */
const UNREAD_TERMINAL = `
import fcntl, os, pty, subprocess, sys
ours, theirs = pty.openpty()
code = subprocess.run(sys.argv[1:], stderr=theirs).returncode
print("ended", code, "not blocking:", fcntl.fcntl(theirs, fcntl.F_GETFL) & os.O_NONBLOCK)
`;

it("goes on while nobody reads its terminal, which stays as it was for others", async () => {
  const running = new ManagedProcess(["python3", "-c", UNREAD_TERMINAL, process.execPath, PRINTER]);
  try {
    await running.waitForOutput(/^alive\nended 0 not blocking: 0$/m);
    expect((await running.exited).code).toBe(0);
  } finally {
    running.killTree();
  }
});

it("goes on while nobody reads its pipe", async () => {
  const running = new ManagedProcess(withUnreadPipe(process.execPath, PRINTER));
  try {
    await running.waitForOutput(/^alive\n/m);
    expect((await running.exited).code).toBe(0);
  } finally {
    running.killTree();
  }
});
