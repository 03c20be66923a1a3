#!/bin/sh
# A stop_command that takes its time, and leaves the file that it is told.
sleep 0.3
: >"$1"
