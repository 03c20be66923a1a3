import os
import subprocess
import sys

import postern as modal

# The server is stubbed: it counts what is pushed to it.
STUB = """
import http.server

class Handler(http.server.BaseHTTPRequestHandler):
    pushes = []

    def do_PUT(self):
        Handler.pushes.append(self.path + " " + str(len(self.rfile.read(int(self.headers["content-length"])))))
        self.send_response(202)
        self.end_headers()

    def do_GET(self):
        body = "\\n".join(Handler.pushes).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.ThreadingHTTPServer(("127.0.0.1", 9091), Handler).serve_forever()
"""

gw_app = modal.App("example-pushgateway-server", image=modal.Image.debian_slim().apt_install("wget", "tar"))


@gw_app.function(max_containers=1)
@modal.web_server(9091)
def serve():
    subprocess.Popen([sys.executable, "-c", STUB])


client_image = modal.Image.debian_slim().uv_pip_install("fastapi[standard]", "prometheus-client")
app = modal.App("example-pushgateway", image=client_image)

with client_image.imports():
    from prometheus_client import CollectorRegistry, Counter, push_to_gateway


@app.cls()
class ExampleClientApplication:
    @modal.enter()
    def init(self):
        import json

        self.registry = CollectorRegistry()
        # As serve.get_web_url(), for resolvers that know no name under localhost.
        self.web_url = json.loads(os.environ["POSTERN_URLS"])["serve"]
        self.instance_id = os.environ["MODAL_TASK_ID"]
        self.counter = Counter("hello_counter", "This is a counter", registry=self.registry)

    @modal.fastapi_endpoint(label="hello-pushgateway")
    def hello(self):
        self.counter.inc()
        push_to_gateway(
            self.web_url, job="hello", grouping_key={"instance": self.instance_id}, registry=self.registry
        )
        return f"Hello world from {self.instance_id}!"


app.include(gw_app)
