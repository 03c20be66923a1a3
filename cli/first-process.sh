#!/bin/sh
# Process 1 of a container, for a command that must not be that itself.
#
#   first-process.sh COMMAND [ARGUMENT…]
#
# Process 1 gets each process whose parent has ended, and must wait for it: else it stays as a zombie. Node waits for
# its own children alone. A shell that waits for one child waits for every other one too. It passes signals on and
# ends with the command's exit code; the kernel then ends all other processes of the container.

# A shell gives a command in the background another stdin.
"$@" <&0 &
command=$!
for signal in INT TERM HUP QUIT USR2; do
  # shellcheck disable=SC2064 # now: the loop changes the name
  trap "kill -s $signal $command" "$signal"
done
while :; do
  wait "$command"
  code=$?
  # A signal that came ends the wait, and not the command.
  kill -0 "$command" 2>/dev/null || exit "$code"
done
