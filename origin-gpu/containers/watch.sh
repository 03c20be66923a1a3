#!/bin/sh
# Runs a container's command so that its process group never outlives the agent. For machines that have nothing to
# supervise a command with.
#
#   watch.sh VARIABLE COMMAND [ARGUMENT…]
#
# The agent starts this script as the leader of a process group and keeps the other end of descriptor 3
# open. The command takes this script's place (same process, so signals and the exit code are its own);
# beside it stays a watcher that sees descriptor 3 close when the agent is gone, even by kill -9, and
# then ends the whole group. The watcher is no child of the command, which may wait for all of its
# children. Plain POSIX shell: it costs under 1 MB and needs no other program.

# The watcher's script. It outlasts the signals that ask the container to end, since it is needed until
# the agent itself ends the group. Where /proc tells the environment of processes (Linux), those that
# left the group are found by the container's id, which is in VARIABLE; the watcher belongs to the group and so ends
# last.
watcher='
trap "" TERM INT QUIT HUP USR1 USR2
read -r _ <&3
eval "id=\$$1"
for environ in $(grep -lsz "^$1=$id\$" /proc/[0-9]*/environ); do
  pid=${environ#/proc/}
  pid=${pid%/environ}
  [ "$pid" = "$$" ] || kill -s KILL "$pid"
done
kill -s KILL 0
'

(/bin/sh -c "$watcher" sh "$1" </dev/null >/dev/null 2>&1 4<&- &)
shift
exec "$@" 3<&-
