"""One question by a library of Python, as people write it, with the key where that library has it.

Usage: patient_clients.py LIBRARY URL KEY QUESTION

Prints JSON: the `text` of the answer, or the `error` that was raised, and its `kind`. No library is told to repeat or to
follow anything; one is told to wait.
"""

import asyncio
import json
import sys

from localhost import resolve_localhost

resolve_localhost()

library, url, key, question = sys.argv[1:]
MESSAGES = [{"role": "user", "content": "question"}]


def openai_client():
    import openai

    return openai.OpenAI(api_key=key, base_url=f"{url}/v1")


def anthropic_client():
    import anthropic

    return anthropic.Anthropic(api_key=key, base_url=url)


def httpx():
    import httpx

    answer = httpx.post(
        f"{url}/work", content=question, headers={"x-api-key": key}, timeout=None
    )
    answer.raise_for_status()
    return answer.text if answer.status_code == 200 else f"{answer.status_code}"


def openai():
    answer = openai_client().chat.completions.create(model=question, messages=MESSAGES)
    return answer.choices[0].message.content


def openai_stream():
    chunks = openai_client().chat.completions.create(model=question, messages=MESSAGES, stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def anthropic():
    answer = anthropic_client().messages.create(model=question, max_tokens=9, messages=MESSAGES)
    return answer.content[0].text


def anthropic_stream():
    with anthropic_client().messages.stream(
        model=question, max_tokens=9, messages=MESSAGES
    ) as stream:
        return "".join(stream.text_stream)


def gradio():
    from gradio_client import Client

    seconds, name = question.split(" ", 1)
    # Its own limit for the app's configuration is 5 s, and a container takes longer to start.
    patient = {"timeout": 120}
    client = Client(url, headers={"x-api-key": key}, httpx_kwargs=patient, verbose=False)
    return client.predict(float(seconds), name, api_name="/work")


def mcp():
    return asyncio.run(mcp_call())


async def mcp_call():
    import httpx2
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    headers = {"authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(headers=headers, timeout=httpx2.Timeout(30, read=300)) as http:
        async with streamable_http_client(f"{url}/mcp", http_client=http) as streams:
            async with ClientSession(streams[0], streams[1]) as client:
                await client.initialize()
                seconds, caller = question.split(" ", 1)
                asked = {"seconds": float(seconds), "caller": caller}
                result = await client.call_tool("work", asked)
                return result.content[0].text.split(" ", 1)[1]


def is_of_an_sdk(error):
    return type(error).__module__.split(".")[0] in ("openai", "anthropic")


try:
    print(json.dumps({"text": globals()[library]()}))
except Exception as error:
    if not is_of_an_sdk(error):
        raise
    print(json.dumps({"error": str(error), "kind": type(error).__name__}))
