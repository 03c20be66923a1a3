"""Serves a Python app, function or class for the Postern agent. postern_container/main.py has the command line."""

from postern_container.main import main

if __name__ == "__main__":
    main()
