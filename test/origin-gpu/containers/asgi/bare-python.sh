#!/bin/sh
# A Python that finds no installed packages.
exec python3 -S "$@"
