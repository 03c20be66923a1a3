/** A program whose stderr is a pipe that is full and that nobody reads. The program itself holds the other end. */
const UNREAD_PIPE = `
import os, sys
unread, full = os.pipe()
os.set_blocking(full, False)
try:
    while True:
        os.write(full, b"x" * 4096)
except BlockingIOError:
    os.set_blocking(full, True)
os.set_inheritable(unread, True)
os.dup2(full, 2)
os.execv(sys.argv[1], sys.argv[1:])
`;

/** The command that becomes this one, with such a stderr. */
export function withUnreadPipe(...command: readonly string[]): [string, ...string[]] {
  return ["python3", "-c", UNREAD_PIPE, ...command];
}
