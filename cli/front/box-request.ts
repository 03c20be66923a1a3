/** Recognizes a box's own request in the first bytes of a connection. The Worker judges it again. */

const BOX_REQUEST = /^(?:GET|POST) \/_postern\//;
const CREDENTIAL = /\r\nauthorization: *Bearer (\S+)\r\n/i;
const HEAD_END = "\r\n\r\n";

/** Whether these bytes begin a link, a dial-back or a question. A client that pretends so gains nothing by it. */
export function beginsBoxRequest(first: Buffer): boolean {
  return BOX_REQUEST.test(first.toString("latin1", 0, 16));
}

/** The credential of a box's request; undefined where the bytes are not its whole head. An agent's head comes whole. */
export function boxCredentialIn(first: Buffer): string | undefined {
  if (!beginsBoxRequest(first)) return undefined;
  const text = first.toString("latin1");
  const end = text.indexOf(HEAD_END);
  return end === -1 ? undefined : CREDENTIAL.exec(text.slice(0, end + 2))?.[1];
}
