/**
 * What `app_kind = "jupyter"` does for a Jupyter server without allow_remote_access, beside one without it. The server has a
 * file, note.txt.
 */
import { describe, expect, test } from "vitest";

import type { EndpointTable, Gateway } from "../harness.ts";
import { OF_TWO } from "./containers.ts";
import { PageClient, type PageSocket } from "./page-client.ts";

const KERNELS = 4;

type Command = Omit<EndpointTable, "function">;

export function jupyterEndpoints(command: Command): EndpointTable[] {
  return [
    { ...command, function: "jupyter", app_kind: "jupyter", ...OF_TWO },
    { ...command, function: "jupyter-plain" },
    { ...command, function: "jupyter-local", host_header: "local", max_containers: 2 },
  ];
}

interface Kernel {
  readonly id: string;
  readonly socket: PageSocket;
}

export function describeJupyter(postern: () => Gateway): void {
  const pageOf = (name: string) => new PageClient(postern().address(name));

  /** Starts a kernel as the page does, and opens its channels. */
  async function start(name: string): Promise<Kernel> {
    const page = pageOf(name);
    expect((await page.ask("/lab")).status).toBe(200);
    const answer = await page.ask("/api/kernels", {
      method: "POST",
      body: "{}",
      headers: {
        "content-type": "application/json",
        "x-xsrftoken": page.cookies.get("_xsrf") ?? "",
      },
    });
    expect(answer.status, answer.text).toBe(201);
    const { id } = answer.json() as { id: string };
    return { id, socket: await page.open(`/api/kernels/${id}/channels`) };
  }

  /** A question of somebody without cookies. */
  async function statusOf(name: string, { id }: Kernel): Promise<number> {
    return (await pageOf(name).ask(`/api/kernels/${id}`)).status;
  }

  describe("Jupyter", () => {
    test("the public Host is taken, and refused with 403 without app_kind", async () => {
      expect((await pageOf("jupyter").ask("/lab")).status).toBe(200);
      expect((await pageOf("jupyter-plain").ask("/lab")).status).toBe(403);
    });

    test("a kernel is found by its id", async () => {
      const kernels: Kernel[] = [];
      for (let count = 0; count < KERNELS; count += 1) kernels.push(await start("jupyter"));
      for (const kernel of kernels) expect(await statusOf("jupyter", kernel)).toBe(200);
      for (const { socket } of kernels) socket.close();
    });

    test("with the local Host alone it is not: another container is asked for it", async () => {
      const kernel = await start("jupyter-local");
      expect(await statusOf("jupyter-local", kernel)).toBe(404);
      kernel.socket.close();
    });

    test("a file is shown to the server's own pages, and to no others", async () => {
      const page = pageOf("jupyter");
      const statusFrom = async (referer: string) =>
        (await page.ask("/files/note.txt", { headers: { referer } })).status;
      expect(await statusFrom(`${page.origin}/files/page.html`)).toBe(200);
      expect(await statusFrom("https://evil.example/")).toBe(403);
    });

    test("its own judgement of other sites' pages stays", async () => {
      const { id, socket } = await start("jupyter");
      const opened = pageOf("jupyter").open(
        `/api/kernels/${id}/channels`,
        [],
        "https://evil.example",
      );
      await expect(opened).rejects.toThrow("refused");
      socket.close();
    });
  });
}
