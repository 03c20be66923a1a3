#!/bin/sh
# Runs a container's command in this script's place, as the container's user, and says in words why it can't.
#
#   launch.sh COMMAND [ARGUMENT…]

# The agent may be another user, who could enter.
if ! cd "$PWD" 2>/dev/null || ! [ -r . ]; then
  echo "postern: $(id -un) can't read the directory $PWD" >&2
  exit 126
fi
if ! command -v "$1" >/dev/null 2>&1; then
  echo "postern: command not found: $1" >&2
  exit 127
fi
case $1 in
*/*)
  if [ ! -x "$1" ]; then
    echo "postern: $1 is not executable; chmod +x makes it so" >&2
    exit 126
  fi
  ;;
esac
exec "$@" </dev/null
