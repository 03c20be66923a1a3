"""The real Flask app of the end-to-end tests, with the paths that test/support/http-suite.ts asks for."""

import hashlib
import os
import time

from flask import Flask, Response, jsonify, request, url_for
from werkzeug.routing import BaseConverter

BLOCK = hashlib.shake_256(b"postern").digest(1024 * 1024)
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

app = Flask(__name__)
# Paths reach the handler as they were sent.
app.url_map.merge_slashes = False


class Rest(BaseConverter):
    """The rest of a path, whatever it begins with."""

    regex = ".*"
    part_isolating = False


app.url_map.converters["rest"] = Rest


def create_app():
    return app


@app.get("/json")
def get_json():
    return jsonify(hello="world", snowman="☃")


@app.post("/json")
def post_json():
    return jsonify(received=request.json)


@app.post("/form")
def post_form():
    return jsonify(request.form)


@app.post("/upload")
def upload():
    """Reads the body piece by piece, and answers each piece when it is there."""
    source = request.stream

    def sizes():
        while piece := source.read1(65536):
            yield "{}\n".format(len(piece))
        yield "end\n"

    return Response(sizes(), mimetype="text/event-stream")


@app.get("/download")
def download():
    size = int(request.args["size"])
    blocks = (BLOCK[: min(len(BLOCK), size - start)] for start in range(0, size, len(BLOCK)))
    response = Response(blocks, mimetype="application/octet-stream")
    if request.args.get("length") != "false":
        response.content_length = size
    return response


@app.get("/events")
def server_sent_events():
    count, interval_ms = int(request.args["count"]), float(request.args.get("interval_ms", 0))

    def numbers():
        for number in range(count):
            yield f"data: {number}\n\n"
            time.sleep(interval_ms / 1000)

    return Response(numbers(), mimetype="text/event-stream")


@app.route("/seen/<rest:rest>", methods=METHODS)
def seen(rest):
    """What the app saw of this request."""
    raw_path, _, query = request.environ["REQUEST_URI"].partition("?")
    answer = jsonify(
        method=request.method,
        url=request.url,
        own_url=url_for("get_json", _external=True),
        client=request.remote_addr,
        raw_path=raw_path,
        query=query,
        headers=list(request.headers.items()),
        body=request.get_data().decode("latin-1"),
    )
    answer.headers["x-method"] = request.method
    return answer


@app.get("/status/<int:code>")
def status(code):
    return Response(status=code, headers={"etag": '"v1"'})


@app.post("/encoded")
def encoded():
    """Sends the body back under this Content-Encoding: the tests compress, nobody else should."""
    headers = {
        "content-encoding": request.args["encoding"],
        "x-request-encoding": request.headers.get("content-encoding", ""),
    }
    return Response(request.get_data(), mimetype="application/octet-stream", headers=headers)


@app.get("/cookies")
def cookies():
    response = Response("two")
    response.set_cookie("one", "1", path="/")
    response.set_cookie("two", "2", httponly=True)
    return response


@app.get("/raw-headers/")
def raw_headers():
    """WSGI has the bytes of headers as Latin-1."""
    return Response("ok", headers={"x-utf8": "grüße".encode().decode("latin-1"), "x-latin1": "grüße"})


@app.get("/endless")
def endless():
    """Says so in a file when its client has left."""

    def events():
        try:
            while True:
                yield "data: x\n\n"
                time.sleep(0.02)
        finally:
            with open(os.environ["EVENTS_FILE"], "a", encoding="utf-8") as file:
                file.write("left\n")

    return Response(events(), mimetype="text/event-stream")
