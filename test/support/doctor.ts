/** Servers that are each ill in one way, and what `postern doctor` says of them. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Server } from "node:net";
import { onTestFinished, vi } from "vitest";
import { parseArguments } from "../../cli/arguments.ts";
import { DOCTOR } from "../../cli/commands/doctor.ts";
import type { Finding } from "../../cli/doctor/finding.ts";

export type Answering = (request: IncomingMessage, response: ServerResponse) => void;

/** Lets a server listen until the test ends. @returns its port */
export async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  onTestFinished(() => {
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

interface Examined {
  /** The command's exit code. */
  readonly code: number;
  readonly of: (check: string) => Finding | undefined;
}

/** Runs the command as its users do, and reads what it prints. */
export async function examine(url: string, ...flags: string[]): Promise<Examined> {
  const written: string[] = [];
  const spy = vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    written.push(String(text));
    return true;
  });
  try {
    const code = await DOCTOR.run(parseArguments(DOCTOR.description, [url, "--json", ...flags]));
    const findings = JSON.parse(written.join("")) as Finding[];
    return { code, of: (check) => findings.find((finding) => finding.check === check) };
  } finally {
    spy.mockRestore();
  }
}

/** The same of an app behind Postern, whose marks are added. */
export async function examineApp(answer: Answering, ...flags: string[]): Promise<Examined> {
  const port = await listening(
    createServer((request, response) => {
      response.setHeader("postern-call-id", "c");
      response.setHeader("x-request-id", "r");
      answer(request, response);
    }),
  );
  return await examine(`http://127.0.0.1:${port}/`, ...flags);
}
