/** A real nginx in front of a server, as its users set it up: with what they add to `proxy_pass`, and no more. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { ManagedProcess } from "./processes.ts";
import { freePort, temporaryDirectory } from "./temporary.ts";

export interface Nginx {
  readonly port: number;
  stop(): Promise<void>;
}

/** @param directives what stands beside `proxy_pass` */
export async function startNginx(upstreamPort: number, directives: string): Promise<Nginx> {
  const directory = temporaryDirectory();
  const port = await freePort();
  const file = join(directory, "nginx.conf");
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((kind) => `${kind}_temp_path ${directory};`)
    .join(" ");
  writeFileSync(
    file,
    `daemon off; worker_processes 1; pid ${directory}/pid; error_log stderr notice;
    events {}
    http {
      access_log off; ${temporary}
      server {
        listen 127.0.0.1:${port};
        location / { proxy_pass http://127.0.0.1:${upstreamPort}; ${directives} }
      }
    }\n`,
  );
  const nginx = new ManagedProcess(["/usr/sbin/nginx", "-p", directory, "-c", file]);
  await nginx.waitForErrorOutput(/start worker process /);
  return {
    port,
    async stop() {
      await nginx.stop("SIGTERM");
    },
  };
}
