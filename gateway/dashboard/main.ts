/**
 * The dashboard's program. A person's API token opens it. The token is in this tab's sessionStorage alone, and goes to
 * the gateway's own API alone.
 */
import type { ApiWorkspace } from "../../api/tokens.ts";
import { element, moment, update } from "./elements.ts";
import { ApiReader, RefusedRequest } from "./api-reader.ts";
import { presentedToken } from "./presented-token.ts";
import { WorkspaceReader, type WorkspaceReading } from "./workspace-reader.ts";
import { workspaceView } from "./workspace-view.ts";

const REFRESH_MS = 5_000;

const STORAGE_KEY = "postern-token";

const page = {
  who: elementOf("who", HTMLElement),
  signOut: elementOf("sign-out", HTMLButtonElement),
  main: elementOf("main", HTMLElement),
  welcome: elementOf("welcome", HTMLElement),
  form: elementOf("sign-in", HTMLFormElement),
  token: elementOf("token", HTMLInputElement),
  submit: elementOf("submit", HTMLButtonElement),
  problem: elementOf("problem", HTMLElement),
  state: elementOf("state", HTMLElement),
  read: elementOf("read", HTMLElement),
  workspace: elementOf("workspace", HTMLElement),
};

/** Ends what runs for the person who is signed in. */
let session = new AbortController();

page.form.hidden = false;
page.form.addEventListener("submit", (event) => {
  event.preventDefault();
  void signIn(presentedToken(page.token.value));
});
page.signOut.addEventListener("click", () => {
  signOut("");
  page.token.focus();
});

const stored = sessionStorage.getItem(STORAGE_KEY);
if (stored !== null) void open(stored);

/** Opens the workspace of a token that the gateway takes; of another one its words are shown. */
async function signIn(token: string): Promise<void> {
  page.submit.disabled = true;
  page.problem.textContent = "";
  try {
    await workspaceOf(new ApiReader(token, session.signal));
    sessionStorage.setItem(STORAGE_KEY, token);
    page.token.value = "";
    void open(token);
    page.main.focus();
  } catch (error) {
    page.problem.textContent = wordsOf(error);
    page.token.focus();
  } finally {
    page.submit.disabled = false;
  }
}

/** Shows the workspace, and reads it again and again while the tab is seen. */
async function open(token: string): Promise<void> {
  session = new AbortController();
  const { signal } = session;
  const client = new ApiReader(token, signal);
  const reader = new WorkspaceReader(client);
  page.welcome.hidden = true;
  page.signOut.hidden = false;
  say("Reading the workspace …");
  while (!signal.aborted) {
    try {
      if (page.who.textContent === "") showWorkspace(await workspaceOf(client));
      await reader.read((reading) => {
        if (!signal.aborted) show(reading);
      });
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof RefusedRequest && error.status === 401) return signOut(wordsOf(error));
      say(`${wordsOf(error)}. The dashboard tries again.`, "bad");
    }
    await pause(signal);
  }
}

/** Forgets the token, and everything that it showed. */
function signOut(why: string): void {
  session.abort();
  session = new AbortController();
  sessionStorage.removeItem(STORAGE_KEY);
  page.workspace.replaceChildren();
  page.who.textContent = "";
  page.read.textContent = "";
  page.signOut.hidden = true;
  page.welcome.hidden = false;
  page.problem.textContent = why;
  say("");
}

async function workspaceOf(client: ApiReader): Promise<ApiWorkspace> {
  return await client.get<ApiWorkspace>("/workspace");
}

function showWorkspace({ name, token: { scope } }: ApiWorkspace): void {
  page.who.textContent = `workspace ${name}, scope ${scope}`;
}

function show(reading: WorkspaceReading): void {
  update(page.workspace, workspaceView(reading));
  update(page.read, element("span", {}, "read at ", moment(new Date().toISOString())));
  say("");
}

/** A screen reader speaks what changes here. */
function say(words: string, tone: "note" | "bad" = "note"): void {
  page.state.className = tone;
  if (page.state.textContent !== words) page.state.textContent = words;
}

function wordsOf(error: unknown): string {
  if (error instanceof RefusedRequest) return error.message;
  return "The gateway does not answer";
}

/** Waits for the next reading: for a while, and for somebody to see it. */
async function pause(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, REFRESH_MS);
  const onAbort = () => resolve();
  signal.addEventListener("abort", onAbort);
  await promise;
  signal.removeEventListener("abort", onAbort);
  clearTimeout(timer);
  if (document.visibilityState === "visible") return;
  await new Promise((resolve) => {
    document.addEventListener("visibilitychange", resolve, { once: true });
  });
}

function elementOf<Kind extends HTMLElement>(id: string, kind: new () => Kind): Kind {
  const found = document.querySelector(`#${id}`);
  if (found instanceof kind) return found;
  throw new Error(`the page has no ${id}`);
}
