"""A program with the commands `serve`, `list` and `pull` of Ollama, whose models repeat what they hear."""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({"models": [{"name": each.name} for each in Path(os.environ["OLLAMA_MODELS"]).iterdir()]})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        content = f"{asked['model']}: {asked['messages'][0]['content']}"
        self.answer({"choices": [{"message": {"role": "assistant", "content": content}}]})

    def answer(self, document):
        text = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


host, _, port = os.environ["OLLAMA_HOST"].partition(":")
if sys.argv[1] == "serve":
    ThreadingHTTPServer((host, int(port)), Handler).serve_forever()
elif sys.argv[1] == "pull":
    Path(os.environ["OLLAMA_MODELS"], sys.argv[2]).write_text(f"{time.time()}")
else:
    print("NAME", *(each.name for each in Path(os.environ["OLLAMA_MODELS"]).iterdir()))
