"""Calls another function of its own app, as apps do: by POSTERN_URLS, with each client that users have."""

import asyncio
import json
import os
import urllib.request

import aiohttp
import httpx
import openai
import requests
from fastapi import FastAPI

app = FastAPI()

URL = json.loads(os.environ["POSTERN_URLS"])["chat"]
HEADERS = {"Authorization": f"Bearer {os.environ['POSTERN_APP_TOKEN']}"}


def by_urllib():
    return urllib.request.urlopen(urllib.request.Request(f"{URL}/health", headers=HEADERS)).status


def by_requests():
    return requests.get(f"{URL}/health", headers=HEADERS).status_code


async def by_httpx():
    async with httpx.AsyncClient() as client:
        return (await client.get(f"{URL}/health", headers=HEADERS)).status_code


async def by_aiohttp():
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{URL}/health", headers=HEADERS) as response:
            return response.status


def by_openai():
    key = os.environ["POSTERN_APP_TOKEN"]
    client = openai.OpenAI(base_url=f"{URL}/v1", api_key=key)
    messages = [{"role": "user", "content": "Who keeps the gate?"}]
    chunks = client.chat.completions.create(model="wonderland", stream=True, messages=messages)
    return 200 if len(list(chunks)) > 1 else 0


@app.get("/calls")
async def calls():
    return {
        "urllib": await asyncio.to_thread(by_urllib),
        "requests": await asyncio.to_thread(by_requests),
        "httpx": await by_httpx(),
        "aiohttp": await by_aiohttp(),
        "openai": await asyncio.to_thread(by_openai),
    }
