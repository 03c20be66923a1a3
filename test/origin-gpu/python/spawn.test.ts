/** A call that `spawn` begins, where its function ends before the gateway has said that it goes on. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "../../support/harness.ts";

const PROGRAM = `
import json, os, pickle, sys, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
sys.modules["cloudpickle"] = pickle
from postern import Function, _wire
from postern._runtime import CallPlace

place = CallPlace("shop", "main", "f", "f", "gpu-1", "a" * 32)
asked = []

class Gateway(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        asked.append(self.headers["prefer"])
        body = _wire.VALUE + pickle.dumps(49)
        self.send_response(200)
        self.send_header("content-type", _wire.RESULT_TYPE)
        self.send_header("content-length", str(len(body)))
        self.send_header(_wire.CALL_HEADER, place.object_id)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_): pass

gateway = HTTPServer(("127.0.0.1", 0), Gateway)
threading.Thread(target=gateway.serve_forever, daemon=True).start()
urls = {"f": f"http://127.0.0.1:{gateway.server_port}"}
os.environ.update(POSTERN_APP="shop", POSTERN_APP_TOKEN="pat-a-b", POSTERN_PUBLIC_URLS=json.dumps(urls))
call = Function("f").spawn(7)
print(json.dumps([asked, call.object_id == place.object_id]))
`;

test("a call that ended at once is the same call, by the id that its container says", () => {
  const env = { ...process.env, PYTHONPATH: join(ROOT, "origin-gpu/python") };
  const printed = execFileSync("python3", ["-c", PROGRAM], { env, encoding: "utf8" });
  expect(JSON.parse(printed)).toEqual([["respond-async"], true]);
});
