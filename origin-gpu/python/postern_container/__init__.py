"""The inside of a Python container: what serves a user's app, function or class for the Postern agent.

The agent starts origin-gpu/python/serve.py, which is a thin entry to `main.py`. The package `postern` uses the
other modules in containers of its own. Needs the standard library alone; `server.py` imports uvicorn and `web.py`
FastAPI, from the user's environment and where they are needed.

    refusals.py   ends the process over a user's mistake, in one line
    targets.py    finds what MODULE:ATTRIBUTE names
    asgi.py       ASGI apps, and functions that make one
    wsgi.py       WSGI apps on threads, as an ASGI app
    web.py        a function as a web endpoint, by FastAPI
    leaving.py    cancels what nobody waits for any more
    decorated.py  what decorators of the package `postern` say of a function outside of apps
    handlers.py   the function that a `callable` names, with its instance where it is a method
    lifecycle.py  what runs before the first call of an instance, and after its last one
    batching.py   single calls collected for a function of lists
    app_functions.py   the functions and classes of a file that uses the package `postern`
    invocations.py     functions that are called with pickles
    parameters.py the values that a class is made with
    places.py          paths at which these find volumes and files
    channel.py    lines between this process and the agent
    calls.py      which calls the app works on, for the agent
    tunnels.py    public URLs of the container's ports, which the agent opens
    server.py     uvicorn behind the agent
    main.py       the command line
"""
