/** One request: its app, called once, and the response that the app sends. */
import type { IncomingMessage, ServerResponse } from "node:http";

import type { Application, HttpScope } from "./asgi.d.ts";
import { report } from "./report.ts";
import { RequestReceiver } from "./request-receiver.ts";
import { ResponseSender } from "./response-sender.ts";
import { ClientLeft, handled } from "./wrong-events.ts";

export class HttpCall {
  /** Resolves when the response has been handed over whole, or can't be. */
  readonly sent: Promise<void>;
  readonly #receiver: RequestReceiver;
  readonly #sender: ResponseSender;

  /** @param askForBody where the client waits for a word before it sends the body */
  constructor(request: IncomingMessage, response: ServerResponse, askForBody?: () => void) {
    this.sent = new Promise((resolve) => response.once("close", resolve));
    this.#receiver = new RequestReceiver(request, response, askForBody);
    this.#sender = new ResponseSender(response, "http");
  }

  /** Resolves when the app has ended; its mistakes are in the log. */
  async run(app: Application, scope: HttpScope): Promise<void> {
    const name = `${scope.method} ${scope.raw_path}`;
    try {
      await app(
        scope,
        async () => await this.#receiver.receive(),
        (event) => handled(this.#sender.send(event)),
      );
      if (!this.#sender.isComplete && !this.#sender.isLeft) {
        report(`the app ended ${name} without a complete response`);
      }
    } catch (error) {
      if (!(error instanceof ClientLeft)) report(`the app failed in ${name}`, error);
    }
    this.#sender.fail();
    this.#receiver.drop();
  }
}
