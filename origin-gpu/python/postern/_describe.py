"""Describes the app of a file, as the command reads it: one JSON document on a descriptor of its own.

    python _describe.py FILE --descriptor N --python WORDS

The document has the app in the words of postern.toml, the line of each endpoint, what is wrong, and what is said
and skipped. The command judges the words as it judges a file's. `WORDS` name the interpreter that runs this.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import sys
import traceback
from types import TracebackType
from typing import Any

if __name__ == "__main__":
    # This directory would hide the standard library's `queue` and others behind the package's modules.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from postern._load import app_of, import_file, name_of
from postern._location import Place, Problem, findings, notice
from postern._options import DEFAULT_CRASH_RETRIES, table_of
from postern._partial import CALLS_SUFFIX, Concurrency, PartialFunction, Traits, Web
from postern.app import App
from postern.cls import Cls
from postern.exception import InvalidError
from postern.functions import Function
from postern.image import BASE_REQUIREMENTS, Image
from postern.secret import Secret
from postern.volume import Volume

Table = dict[str, Any]

PACKAGE = os.path.dirname(os.path.abspath(__file__))

#: Of a web_server's start, what Python and the file's imports may take.
_IMPORT_SECONDS = 60

#: Calls of a web server that says only how many to aim at: it has a queue of its own.
_SERVERS_INPUTS = 1_000

#: A container's start where nothing says more.
_START_SECONDS = 300

#: What the interpreter of a function without packages has to have.
_NEEDED = ("uvicorn", "cloudpickle")


class Describer:
    """Makes an app's tables."""

    def __init__(self, app: App, module: str, python: str) -> None:
        self._app = app
        self._module = module
        self._python = python
        self.tables: list[Table] = []
        self.places: list[Place] = []

    def describe(self) -> None:
        """Fills `tables`, and `places` with where each of them comes from."""
        variants = self._app.variants
        for tag, place in self._app.places.items():
            before = len(self.tables)
            variant = variants.get(tag)
            if tag in self._app.functions:
                self._function(self._app.functions[tag])
            elif variant is not None:
                self._variant(tag, variant)
            elif tag in self._app.classes:
                self._class(self._app.classes[tag])
            self.places += [place] * (len(self.tables) - before)

    def _function(self, function: Function[Any, Any]) -> None:
        traits = function.traits
        table = {"function": function.tag, **self._pool(function.tag, function.options, [traits], traits.concurrency)}
        table.update(self._served(traits, function.is_generator, table))
        if traits.web is not None and traits.web.kind == "web_server":
            table.update(_server_keys(traits.web, table))
        self.tables.append(table)
        if traits.web is not None and traits.takes_calls:
            calls: Table = {**_guest(function.tag + CALLS_SUFFIX, function.tag, table), **_of("retries", table)}
            calls.update(self._served(Traits(), function.is_generator, calls))
            self.tables.append(calls)

    def _variant(self, tag: str, variant: Function[Any, Any] | Cls) -> None:
        """Its containers take calls alone: web endpoints are those of the decorators."""
        place = self._app.places[tag]
        cls = variant if isinstance(variant, Cls) else None
        if cls is not None:
            functions = [cls.function(name) for name in cls.methods()]
            concurrency = cls.concurrency
        else:
            functions = [variant] if isinstance(variant, Function) else []
            concurrency = functions[0].traits.concurrency
        traits = [each.traits for each in functions]
        called = [each for each in functions if each.traits.takes_calls]
        if not called:
            findings_add(f"{variant.__name__}: with_options is for what remote calls, and nothing here takes calls", place)
            return
        if any(each.web is not None and each.web.kind == "web_server" for each in traits):
            findings_add(f"{variant.__name__}: a @web_server has one port, and with_options would need another one", place)
        if any(each.traits.batching for each in called) and len(called) > 1:
            findings_add(f"{variant.__name__}: a class with a @batched method has no other methods", place)
        table: Table = {"function": tag, **self._pool(tag, variant.options, traits, concurrency)}
        if cls is not None and cls.parameter_types:
            table["parameters"] = cls.table()
        table.update(self._served(Traits(), any(each.is_generator for each in called), table))
        self.tables.append(table)

    def _class(self, cls: Cls) -> None:
        """The first table has the containers: the class's own where a method takes calls, else its first web endpoint's."""
        methods = cls.methods()
        web = {name: each for name, each in methods.items() if each.traits.web is not None}
        plain = {name: each for name, each in methods.items() if each.traits.web is None}
        called = [each for each in methods.values() if each.traits.takes_calls]
        place = self._app.places[cls.name]
        if not methods:
            findings_add(f"{cls.name} has no method: decorate one with @method()", place)
            return
        if any(each.traits.batching for each in plain.values()) and len(plain) > 1:
            findings_add(f"{cls.name}: a class with a @batched method has no other methods", place)
        servers = [name for name, each in web.items() if each.traits.web and each.traits.web.kind == "web_server"]
        if servers and len(web) > 1:
            findings_add(f"{cls.name}.{servers[0]}: a class with a @web_server has nothing else for the web: put it into another class", place)
        traits = [each.traits for each in methods.values()]
        pool = self._pool(cls.name, cls.options, traits, cls.concurrency)
        for each in web.values():
            if each.traits.web is not None and each.traits.web.kind == "web_server":
                pool.update(_server_keys(each.traits.web, pool, bool(cls.hooks("enter"))))
        if cls.parameter_types:
            pool["parameters"] = cls.table()
        owner = cls.name
        if called:
            generators = any(_is_generator(each) for each in called)
            own: Table = {"function": owner, **pool}
            own.update(self._served(Traits(), generators, own))
            self.tables.append(own)
        for name, each in web.items():
            tag = f"{cls.name}.{name}"
            if owner == cls.name and not called:
                table: Table = {"function": tag, **pool, "python_function": f"{self._module}:{cls.name}"}
                owner = tag
            else:
                table = _guest(tag, owner, pool)
            table.update(self._served(each.traits, False, table))
            self.tables.append(table)

    def _pool(
        self, tag: str, options: Table, traits: list[Traits], concurrency: Concurrency | None
    ) -> Table:
        """What belongs to the containers."""
        table: Table = {"python_function": f"{self._module}:{tag}", **table_of(options, tag, self._app.places[tag])}
        image = options.get("image") or self._app.image or Image()
        variables = {**image.variables}
        names: list[str] = []
        for secret in [*self._app.secrets, *(options.get("secrets") or [])]:
            if not isinstance(secret, Secret):
                findings_add(f"{tag}: secrets must be a list of modal.Secret, and has {secret!r}", self._app.places[tag])
                continue
            if secret.name is not None:
                names.append(secret.name)
            variables.update(secret.values)
        variables.update({name: value for name, value in (options.get("env") or {}).items() if value is not None})
        for each in image.files:
            if not each.local.exists():
                findings_add(f"{tag}: there is no {each.local} to add", self._app.places[tag])
        for path, volume in {**self._app.volumes, **(options.get("volumes") or {})}.items():
            if not isinstance(volume, Volume) or not str(path).startswith("/"):
                findings_add(f'{tag}: volumes must be like {{"/data": modal.Volume.from_name("data")}}', self._app.places[tag])
        if variables:
            table["env"] = variables
        if names:
            table["secrets"] = names
        needs_fastapi = any(each.web is not None and each.web.kind == "fastapi_endpoint" for each in traits)
        table.update(self._interpreter(image, needs_fastapi, self._app.place))
        if options.get("single_use_containers"):
            self._check_single_use(tag, traits, concurrency)
        batch = max((each.batching.max_batch_size for each in traits if each.batching), default=1)
        if concurrency is not None:
            most = _SERVERS_INPUTS if _has_server(traits) else concurrency.target_inputs
            table["max_inputs"] = max(concurrency.max_inputs or most or 1, batch)
            if concurrency.target_inputs is not None:
                table["target_inputs"] = concurrency.target_inputs
        elif batch > 1:
            table["max_inputs"] = batch
        return table

    def _check_single_use(self, tag: str, traits: list[Traits], concurrency: Concurrency | None) -> None:
        """A container ends after its only call, which a page's requests are not."""
        other = None
        if any(each.web is not None for each in traits):
            other = "is for functions that remote calls, and this one is served to the web"
        elif concurrency is not None or any(each.batching is not None for each in traits):
            other = "gives a container one call: leave out @concurrent and @batched"
        if other is not None:
            findings_add(f"{tag}: single_use_containers {other}", self._app.places[tag])

    def _interpreter(self, image: Image, needs_fastapi: bool, place: Place) -> Table:
        python = image.python
        if image.has_packages:
            return {"requirements": image.requirements, **({} if python is None else {"python": python})}
        needed = [*_NEEDED, *(["fastapi"] if needs_fastapi else [])]
        missing = [name for name in needed if python is not None or importlib.util.find_spec(name) is None]
        if not missing:
            return {"python": self._python}
        if python is None:
            notice(
                f"{self._python} lacks {', '.join(missing)}: functions whose image names no packages run in an "
                f"environment with {', '.join(BASE_REQUIREMENTS)} alone",
                place,
            )
        return {"requirements": list(BASE_REQUIREMENTS), **({} if python is None else {"python": python})}

    def _served(self, traits: Traits, is_generator: bool, table: Table) -> Table:
        """What belongs to the endpoint alone."""
        web = traits.web
        if web is None:
            retries = {"max_retries": DEFAULT_CRASH_RETRIES, "initial_delay": 0, "backoff_coefficient": 1, "max_delay": 1}
            more: Table = {"requires_app_token": True, "retries": table.get("retries", retries)}
            if is_generator:
                more["max_duration"] = table.get("timeout", 300)
            return more
        return _web_keys(web)


def _guest(tag: str, owner: str, pool: Table) -> Table:
    """A second name on the owner's containers."""
    return {"function": tag, "containers_of": owner, **_of("timeout", pool), **_of("max_duration", pool)}


def _of(key: str, table: Table) -> Table:
    return {key: table[key]} if key in table else {}


def _web_keys(web: Web) -> Table:
    table: Table = {}
    if web.label is not None:
        table["label"] = web.label
    if web.requires_proxy_auth:
        table["requires_proxy_auth"] = True
    if web.custom_domains:
        table["custom_domains"] = list(web.custom_domains)
    if web.kind == "fastapi_endpoint":
        table["cors"] = True
    return table


def _server_keys(web: Web, pool: Table, has_hooks: bool = False) -> Table:
    """Of containers in which a server listens on its own port. Hooks run before it begins, for as long as any start."""
    default = pool.get("timeout", _START_SECONDS) if has_hooks else _IMPORT_SECONDS
    startup_timeout = (web.startup_timeout or 0) + pool.get("startup_timeout", default)
    end: Table = {} if web.exit_grace_period is None else {"exit_grace_period": web.exit_grace_period}
    return {"port": web.port, "max_containers": 1, "startup_timeout": startup_timeout, **end}


def _has_server(traits: list[Traits]) -> bool:
    return any(each.web is not None and each.web.kind == "web_server" for each in traits)


def _is_generator(partial: PartialFunction[Any, Any]) -> bool:
    return Function("", raw_f=partial.raw_f, traits=partial.traits).is_generator


def findings_add(message: str, place: Place) -> None:
    """One more problem."""
    if findings.problems is None:
        raise InvalidError(message)
    findings.problems.append(Problem(place, message))


def _users_frames(error: BaseException) -> TracebackType | None:
    """The traceback without the frames that lead to the user's code; none where it fails to compile."""
    frames = error.__traceback__
    while frames is not None and _is_on_the_way(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    return frames


def _is_on_the_way(filename: str) -> bool:
    return filename.startswith(("<frozen importlib", PACKAGE)) or filename == importlib.__file__


def _import_problem(error: BaseException, file: str) -> Problem:
    """Where in the user's file an import failed."""
    line = 1
    for frame, at in traceback.walk_tb(error.__traceback__):
        if os.path.abspath(frame.f_code.co_filename) == os.path.abspath(file):
            line = at
    if isinstance(error, SyntaxError) and error.filename and os.path.abspath(error.filename) == os.path.abspath(file):
        line = error.lineno or 1
    is_modals = isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == "modal"
    instead = ": import postern in its place, as in `import postern.experimental`" if is_modals else ""
    return Problem(Place(file, line), f"{type(error).__name__}: {error}{instead}")


def describe(file: str, python: str) -> dict[str, Any]:
    """The document of a file. Never raises for what the user's code does."""
    problems = findings.collect()
    result: dict[str, Any] = {"document": None, "lines": [], "runnable": []}
    try:
        module = import_file(file)
        app = app_of(module)
        describer = Describer(app, module.__name__, python)
        describer.describe()
        result["document"] = {"app": name_of(app, module), "endpoint": describer.tables}
        result["lines"] = [_line_in(place, file) for place in describer.places]
        methods = [f"{cls.name}.{name}" for cls in app.classes.values() for name in cls.methods()]
        result["runnable"] = [*app.entrypoints, *app.functions, *methods]
    except InvalidError as error:
        problems.append(Problem(_import_problem(error, file).place, str(error)))
    except (Exception, SystemExit) as error:
        traceback.print_exception(type(error), error, _users_frames(error))
        problems.append(_import_problem(error, file))
    result["problems"] = [_finding(each, file) for each in sorted(problems, key=lambda each: each.place.line)]
    result["notices"] = [_finding(each, file) for each in findings.notices]
    return result


def _finding(found: Any, file: str) -> dict[str, Any]:
    place: Place = found.place
    same = os.path.abspath(place.file) == os.path.abspath(file)
    return {"file": file if same else place.file, "line": place.line, "message": found.message}


def _line_in(place: Place, file: str) -> int:
    return place.line if os.path.abspath(place.file) == os.path.abspath(file) else 1


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(prog="describe", allow_abbrev=False)
    parser.add_argument("file")
    parser.add_argument("--descriptor", type=int, required=True)
    parser.add_argument("--python", required=True)
    arguments = parser.parse_args()
    sys.argv[1:] = []
    document = describe(arguments.file, arguments.python)
    with open(arguments.descriptor, "w", encoding="utf-8") as output:
        json.dump(document, output)


if __name__ == "__main__":
    main()
