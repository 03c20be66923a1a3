"""The functions and classes of a file that uses the package `postern`: finds the one that a container is for, and serves
it as its decorators say.

The target is MODULE:TAG, and the tag a function's or a class's name in its app. A class has one container for all of its
methods: a request's host tells which of them it is for, since each web endpoint has a URL of its own.
"""

import asyncio
import functools
import inspect
import json
import os
import signal
import traceback
from urllib.parse import urlsplit

from . import asgi, lifecycle, places, server, web, wsgi
from .calls import Calls
from .invocations import Called, Invocations
from .refusals import refuse, refuse_missing, refuse_user_error
from .targets import import_user_module

# What programs of other containers read.
ALIASES = {
    "MODAL_TASK_ID": "POSTERN_CONTAINER_ID",
    "MODAL_ENVIRONMENT": "POSTERN_ENVIRONMENT",
    "MODAL_REGION": "POSTERN_REGION",
}


async def serve(arguments, serve_app):
    """Serves until the stop signal, with the class's hooks around it."""
    for name, source in ALIASES.items():
        os.environ.setdefault(name, os.environ.get(source, ""))
    os.environ.setdefault("MODAL_IS_REMOTE", "1")
    pool = find(arguments.target)
    pool.put_places()
    await pool.enter()
    if pool.web_server is not None:
        await run_web_server(pool, arguments, serve_app)
        return
    app = pool.app(arguments.threads)
    if pool.needs_fastapi:
        await web.allow_threads(arguments.threads)
    await serve_app(app, on_end=pool.leave)


def find(target):
    """The Pool that a target names. Mistakes of the user end the process in one line."""
    module_name, _, tag = target.partition(":")
    from postern._load import app_of, prepare_import
    from postern.exception import InvalidError

    prepare_import(module_name, os.getcwd())
    module = import_user_module(module_name)

    try:
        app = app_of(module)
    except InvalidError as error:
        refuse(str(error))
    owner = tag.partition(".")[0]
    if tag in app.functions:
        function = app.functions[tag]
        pool = Pool(tag, {tag: function}, options=function.options, app=app)
    elif owner in app.classes:
        cls = app.classes[owner]
        methods = {f"{owner}.{name}": cls.function(name) for name in cls.methods()}
        pool = Pool(owner, methods, options=cls.options, app=app, cls=cls)
    elif tag in (variants := app.variants):
        pool = variant_of(tag, variants[tag], app)
    else:
        refuse(f"{module_name} has no function {tag}; it has {', '.join([*app.functions, *app.classes])}")
    pool.check()
    return pool


def variant_of(tag, variant, app):
    """The Pool of a function or class with other options, which takes calls alone."""
    from postern.cls import Cls

    cls = variant if isinstance(variant, Cls) else None
    functions = [variant] if cls is None else [cls.function(name) for name in cls.methods()]
    called = {each.tag: each for each in functions if each.traits.takes_calls}
    name = variant.tag if cls is None else cls.name
    return Pool(tag, called, options=variant.options, app=app, cls=cls, name=name, is_called_alone=True)


class Pool:
    """What the containers of one pool serve. `name` is the function's or class's, `tag` the endpoint's."""

    def __init__(self, tag, functions, *, options, app, cls=None, name=None, is_called_alone=False):
        self.tag = tag
        self.name = tag if name is None else name
        # By tag: the function itself, or all methods of a class.
        self.functions = functions
        self.options = options
        self.user_app = app
        self.cls = cls
        self.instance = None
        served = {} if is_called_alone else functions
        self.web = {tag: each for tag, each in served.items() if each.traits.web is not None}
        self.called = {tag: each for tag, each in functions.items() if each.traits.takes_calls}

    @property
    def web_server(self):
        """The function that starts a server by itself; nothing else here is served to the web then."""
        for each in self.web.values():
            if each.traits.web.kind == "web_server":
                return each
        return None

    @property
    def needs_fastapi(self):
        return any(each.traits.web.kind == "fastapi_endpoint" for each in self.web.values())

    @property
    def calls_tag(self):
        """The endpoint that takes calls with pickles: of a function that is served to the web a second one."""
        from postern._partial import CALLS_SUFFIX

        return self.tag if self.cls is not None or self.tag not in self.web else self.tag + CALLS_SUFFIX

    def check(self):
        """Ends the process where something is missing that the functions need."""
        image = self.options.get("image") or self.user_app.image
        if image is not None and image.import_error is not None:
            error = image.import_error
            refuse_user_error("the imports of the image failed", error)
        for secret in [*self.user_app.secrets, *(self.options.get("secrets") or [])]:
            missing = [name for name in secret.required_keys if name not in os.environ]
            if missing:
                refuse(f"the secret {secret.name} lacks {', '.join(missing)}")
        if self.web_server is None or self.called:
            server.import_uvicorn()
        if self.called:
            try:
                import cloudpickle  # noqa: F401
            except ModuleNotFoundError:
                refuse_missing("cloudpickle", "cloudpickle")

    def put_places(self):
        """Lets the functions find their volumes, and the files of their image, where they look for them."""
        image = self.options.get("image") or self.user_app.image
        volumes = {**self.user_app.volumes, **(self.options.get("volumes") or {})}
        wanted = [(each.remote, each.local) for each in (image.files if image is not None else ())]
        try:
            wanted += [(str(remote), volume.directory) for remote, volume in volumes.items()]
        except Exception as error:
            refuse(str(error))
        if wanted:
            notes = os.path.join(os.environ.get("POSTERN_DATA", os.getcwd()), "places")
            for remote, target in wanted:
                if not os.path.exists(target):
                    refuse(f"{remote}: there is no {target} on this box")
                places.put(remote, target, notes)

    async def enter(self):
        if self.cls is None:
            return
        try:
            given = json.loads(os.environ.get("POSTERN_PARAMETERS", "{}"))
            self.instance = self.cls.make(self.cls.values_of(given))
            for hook in self.cls.hooks("enter"):
                await lifecycle.call(functools.partial(hook, self.instance))
        except Exception as error:
            refuse_user_error(f"{self.tag} failed before its first call", error)

    async def leave(self):
        """Each hook runs, also after one that failed."""
        if self.instance is None:
            return
        for hook in self.cls.hooks("exit"):
            try:
                await lifecycle.call(functools.partial(hook, self.instance))
            except Exception:
                traceback.print_exc()

    def app(self, threads):
        """The ASGI app of the container."""
        apps = {tag: self.web_app(each, threads) for tag, each in self.web.items() if each is not self.web_server}
        if self.called:
            functions = {"/" + tag.partition(".")[2]: self.called_of(each) for tag, each in self.called.items()}
            served = {"/" + tag.partition(".")[2] for tag in self.web}
            tag = self.calls_tag
            apps[tag] = Invocations(
                functions,
                threads,
                tag=tag,
                name=self.name,
                served=served,
                is_single_use=bool(self.options.get("single_use_containers")),
            )
        if len(apps) == 1:
            return next(iter(apps.values()))
        with_lifespan = [apps[tag] for tag, each in self.web.items() if each.traits.web.kind == "asgi_app"]
        return ByHost(apps, hosts_of(apps), with_lifespan[0] if with_lifespan else None)

    def bound(self, function):
        raw = function.get_raw_f()
        return raw if self.instance is None else raw.__get__(self.instance)

    def called_of(self, function):
        return Called(
            self.bound(function),
            is_generator=function.is_generator,
            batching=function.traits.batching,
            retries=self.options.get("retries"),
        )

    def web_app(self, function, threads):
        said = function.traits.web
        bound = self.bound(function)
        if said.kind == "fastapi_endpoint":
            if function.traits.batching is not None:
                from . import batching

                collected = function.traits.batching
                bound = batching.for_web(bound, collected.max_batch_size, collected.wait_ms)
            return web.wrap(bound, method=said.method, docs=said.docs)
        try:
            made = bound()
        except (Exception, SystemExit) as error:
            refuse_user_error(f"{function.tag}() failed", error)
        if inspect.iscoroutine(made):
            made.close()
            refuse(f"{function.tag} is an async function; the function that makes the app must be a plain one")
        if said.kind == "wsgi_app":
            return wsgi.WsgiApp(made, threads)
        if not asgi.is_app(made):
            refuse(asgi.not_an_app(f"{function.tag}()", made))
        return made


class ByHost:
    """Several apps in one container: the request's host says whose it is. Lifespan events are the one ASGI app's."""

    def __init__(self, apps, hosts, with_lifespan):
        self.apps = apps
        self.hosts = hosts
        self.with_lifespan = with_lifespan

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            if self.with_lifespan is None:
                raise NotImplementedError("no app here has a lifespan")
            return await self.with_lifespan(scope, receive, send)
        host = next((value for name, value in scope["headers"] if name == b"host"), b"")
        tag = self.hosts.get(host.decode("latin-1").lower().partition(":")[0])
        app = self.apps.get(tag) if tag is not None else next(iter(self.apps.values()))
        return await app(scope, receive, send)


def hosts_of(tags):
    urls = json.loads(os.environ.get("POSTERN_PUBLIC_URLS", "{}"))
    return {urlsplit(url).hostname: tag for tag, url in urls.items() if tag in tags}


async def run_web_server(pool, arguments, serve_app):
    """Runs the function that starts a server, then serves calls until the stop signal, on a port of their own.

    The agent takes that port for the sign that everything has begun. The supervisor ends what the function started.
    """
    if pool.called:
        await begin_web_server(pool)
        await serve_app(pool.app(arguments.threads), port=arguments.calls_port, on_end=pool.leave)
        return
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in {"SIGTERM", "SIGINT", arguments.stop_signal} - {"SIGKILL"}:
        loop.add_signal_handler(getattr(signal, name), stopped.set)
    if arguments.channel is not None:
        server.open_channel(arguments.channel, Calls(None))
    await begin_web_server(pool)
    await stopped.wait()
    await pool.leave()


async def begin_web_server(pool):
    function = pool.web_server
    try:
        await lifecycle.call(pool.bound(function))
    except Exception as error:
        refuse_user_error(f"{function.tag}() failed", error)
