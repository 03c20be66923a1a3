"""How a program reaches functions: by what its surrounding says, or by asking the gateway for a call token."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from . import exception
from ._http import Place, refused, send
from ._runtime import surrounding

#: A call token is asked for anew so long before it expires.
_MARGIN_SECONDS = 60.0


@dataclass(frozen=True)
class Opened:
    """An app's endpoints by function, and what opens them."""

    urls: dict[str, str]
    token: str
    #: By the monotonic clock; None for a token that does not expire.
    until: float | None = None


@dataclass(frozen=True)
class _Gateway:
    """Where the API is, and the credential that opens it."""

    url: str
    bearer: str
    environment: str


_opened: dict[tuple[str, str | None], Opened] = {}
_lock = threading.Lock()


def own_app() -> Opened | None:
    """The app of this container or of this `postern run`."""
    here = surrounding()
    return None if here is None else Opened(here.urls, here.token)


def app_by_name(app: str, environment: str | None) -> Opened:
    """A deployed app. @throws NotFoundError, AuthError, …"""
    here = surrounding()
    if here is not None and here.app == app and environment in (None, here.environment):
        return Opened(here.urls, here.token)
    with _lock:
        known = _opened.get((app, environment))
        if known is not None and known.until is not None and time.monotonic() < known.until:
            return known
        opened = _ask(app, environment)
        _opened[(app, environment)] = opened
        return opened


def _ask(app: str, environment: str | None) -> Opened:
    gateway = _gateway()
    wanted = environment or gateway.environment
    target = f"/api/v1/apps/{quote(app, safe='')}/call-tokens?environment={quote(wanted, safe='')}"
    headers = {"authorization": f"Bearer {gateway.bearer}", "content-type": "application/json"}
    here = surrounding()
    body = json.dumps({} if here is None else {"from": os.environ.get("POSTERN_WEB_URL") or next(iter(here.urls.values()), "")})
    response = send("POST", Place.of(gateway.url), target, headers, body.encode())
    if response.status != 201:
        raise refused(response).error(f"app {app}")
    document = json.loads(response.read())
    urls = {endpoint["function"]: endpoint["url"] for endpoint in document["endpoints"]}
    return Opened(urls, document["token"], time.monotonic() + document["expires_in"] - _MARGIN_SECONDS)


def update_scaling(app: str, environment: str | None, function: str, settings: Mapping[str, int]) -> None:
    """Gives a function of a deployed app other numbers of containers. @throws what the gateway's refusal means"""
    gateway = _gateway()
    wanted = quote(environment or gateway.environment, safe="")
    target = f"/api/v1/apps/{quote(app, safe='')}/functions/{quote(function, safe='')}/scaling?environment={wanted}"
    headers = {"authorization": f"Bearer {gateway.bearer}", "content-type": "application/json"}
    response = send("PATCH", Place.of(gateway.url), target, headers, json.dumps(dict(settings)).encode())
    if response.status != 200:
        raise refused(response).error(f"update_autoscaler of {app}, {function}")
    response.read()


def base_url(endpoint_url: str) -> str:
    """The gateway's own URL, of an endpoint's: its host without the first label."""
    place = Place.of(endpoint_url)
    host = place.host.partition(".")[2]
    return f"{place.scheme}://{Place(place.scheme, host, place.port).authority}"


def _gateway() -> _Gateway:
    here = surrounding()
    if here is not None and here.urls:
        return _Gateway(base_url(next(iter(here.urls.values()))), here.token, here.environment)
    environ = os.environ
    url, token_id, secret = (environ.get(f"POSTERN_{name}", "") for name in ("URL", "TOKEN_ID", "TOKEN_SECRET"))
    environment = environ.get("POSTERN_ENVIRONMENT", "")
    if not (url and token_id and secret):
        profile = _profile()
        url = url or profile.get("url", "")
        token_id, secret = token_id or profile.get("token_id", ""), secret or profile.get("token_secret", "")
        environment = environment or profile.get("environment", "")
    if not (url and token_id and secret):
        raise exception.AuthError(
            "no gateway is known: set POSTERN_URL, POSTERN_TOKEN_ID and POSTERN_TOKEN_SECRET, or run postern token set"
        )
    return _Gateway(url, f"{token_id}.{secret}", environment or "main")


def _profile() -> dict[str, str]:
    """The active profile, as the command chooses it; else the one that a gateway on ./.postern keeps."""
    path = Path(os.environ.get("POSTERN_CONFIG_PATH") or Path.home() / ".postern.toml")
    for file in (path, Path(".postern") / "profile.toml"):
        profiles = _read_profiles(file)
        chosen = os.environ.get("POSTERN_PROFILE")
        if chosen in profiles:
            return profiles[chosen]
        active = [profile for profile in profiles.values() if profile.get("active") == "true"]
        if active or len(profiles) == 1:
            return (active or list(profiles.values()))[0]
        if "default" in profiles:
            return profiles["default"]
    return {}


def _read_profiles(file: Path) -> dict[str, dict[str, str]]:
    """Tables of texts and truth values, which is all that the command writes. (Python 3.10 has no TOML.)"""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError:
        return {}
    profiles: dict[str, dict[str, str]] = {}
    table: dict[str, str] = {}
    for line in text.splitlines():
        header = re.match(r'^\s*\[\s*"?([^"\]]+?)"?\s*\]\s*$', line)
        pair = re.match(r'^\s*(\w+)\s*=\s*(?:"([^"]*)"|(true|false))\s*$', line)
        if header is not None:
            table = profiles.setdefault(header[1], {})
        elif pair is not None:
            table[pair[1]] = pair[2] if pair[2] is not None else pair[3]
    return profiles
