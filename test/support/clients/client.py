"""One POST with a client library of Python, as people write it, and what came of it.

Usage: client.py LIBRARY URL

Prints JSON: the status and the text of the last answer.
"""

import asyncio
import json
import sys
from urllib.parse import parse_qsl, urlsplit

from localhost import resolve_localhost

resolve_localhost()


def with_urllib(url):
    import urllib.request

    with urllib.request.urlopen(url, data=b"question") as response:
        return response.status, response.read().decode()


def with_requests(url):
    import requests

    response = requests.post(url, data=b"question")
    return response.status_code, response.text


def with_httpx(url, follow_redirects=False):
    import httpx

    response = httpx.post(url, content=b"question", follow_redirects=follow_redirects, timeout=None)
    return response.status_code, response.text


def with_httpx_that_follows(url):
    return with_httpx(url, follow_redirects=True)


def with_aiohttp(url):
    import aiohttp

    async def ask():
        async with aiohttp.ClientSession() as session:
            async with session.post(url, data=b"question") as response:
                return response.status, await response.text()

    return asyncio.run(ask())


def with_openai(url):
    import openai

    parts = urlsplit(url)
    client = openai.OpenAI(api_key="none", base_url=f"{parts.scheme}://{parts.netloc}/v1")
    try:
        completion = client.chat.completions.create(
            model="slow",
            messages=[{"role": "user", "content": "question"}],
            extra_query=dict(parse_qsl(parts.query)),
        )
    except openai.APIStatusError as error:
        return error.status_code, error.message
    if completion.choices is None:
        return 202, completion.model_dump_json()
    return 200, completion.choices[0].message.content


LIBRARIES = {
    "urllib": with_urllib,
    "requests": with_requests,
    "httpx": with_httpx,
    "httpx-follow": with_httpx_that_follows,
    "aiohttp": with_aiohttp,
    "openai": with_openai,
}

status, text = LIBRARIES[sys.argv[1]](sys.argv[2])
print(json.dumps({"status": status, "text": text}))
