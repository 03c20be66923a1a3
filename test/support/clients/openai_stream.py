"""A streamed completion with OpenAI's SDK, as people write it. Prints JSON: its text, or the error that it raised.

Usage: openai_stream.py BASE_URL MODEL
"""

import json
import sys

from localhost import resolve_localhost

resolve_localhost()

import openai

client = openai.OpenAI(api_key="none", base_url=sys.argv[1], max_retries=0)
try:
    stream = client.chat.completions.create(
        model=sys.argv[2], messages=[{"role": "user", "content": "question"}], stream=True
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    print(json.dumps({"text": text}))
except openai.APIError as error:
    print(json.dumps({"error": error.message, "kind": type(error).__name__}))
