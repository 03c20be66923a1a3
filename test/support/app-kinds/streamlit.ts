/** What `app_kind = "streamlit"` does for a Streamlit app, beside one without it. */
import { describe, expect, test } from "vitest";

import type { EndpointTable, Gateway } from "../harness.ts";
import { OF_TWO } from "./containers.ts";
import { PageClient, type PageSocket } from "./page-client.ts";

const SESSIONS = 4;
/** A BackMsg whose `rerun_script`, its field 11, is empty: the app is to run. */
const RERUN = new Uint8Array([0x5a, 0]);
/** The first message has the session's id as field 6 of its `initialize`, with its length. */
const SESSION_ID = /2\$([0-9a-f-]{36})/;
const UPLOAD = [
  "--boundary",
  'content-disposition: form-data; name="note.txt"; filename="note.txt"',
  "content-type: text/plain",
  "",
  "a note",
  "--boundary--",
  "",
].join("\r\n");

type Command = Omit<EndpointTable, "function">;

export function streamlitEndpoints(command: Command): EndpointTable[] {
  return [
    { ...command, function: "streamlit", app_kind: "streamlit", ...OF_TWO },
    { ...command, function: "streamlit-plain", max_containers: 2 },
  ];
}

interface Session {
  readonly page: PageClient;
  readonly socket: PageSocket;
  readonly id: string;
}

export function describeStreamlit(postern: () => Gateway): void {
  const pageOf = (name: string) => new PageClient(postern().address(name));

  /** Begins a session as the page does. */
  async function begin(name: string): Promise<Session> {
    const page = pageOf(name);
    expect((await page.ask("/")).status).toBe(200);
    expect((await page.ask("/_stcore/health")).text).toBe("ok");
    const socket = await page.open("/_stcore/stream", ["streamlit", tokenOf(page)]);
    socket.send(RERUN);
    const idOf = () =>
      socket.messages.map((message) => SESSION_ID.exec(message.toString("latin1"))?.[1]);
    await expect.poll(() => idOf().find((id) => id !== undefined)).toBeDefined();
    return { page, socket, id: idOf().find((id) => id !== undefined) ?? "" };
  }

  const tokenOf = ({ cookies }: PageClient) => cookies.get("_streamlit_xsrf") ?? "";

  async function upload({ page, id }: Session): Promise<number> {
    const headers = {
      "content-type": "multipart/form-data; boundary=boundary",
      "x-xsrftoken": tokenOf(page),
    };
    const asked = { method: "PUT", body: UPLOAD, headers };
    return (await page.ask(`/_stcore/upload_file/${id}/file-1`, asked)).status;
  }

  describe("Streamlit", () => {
    test("an upload of a page comes to the container that has its session", async () => {
      const sessions: Session[] = [];
      for (let count = 0; count < SESSIONS; count += 1) sessions.push(await begin("streamlit"));
      for (const session of sessions) expect(await upload(session)).toBe(204);
      for (const { socket } of sessions) socket.close();
    });

    test("without app_kind it comes to another one, which knows no such session", async () => {
      const session = await begin("streamlit-plain");
      expect(await upload(session)).toBe(400);
      session.socket.close();
    });

    test("its own judgement of other sites' pages stays", async () => {
      const opened = pageOf("streamlit").open("/_stcore/stream", [], "https://evil.example");
      await expect(opened).rejects.toThrow("refused");
    });
  });
}
