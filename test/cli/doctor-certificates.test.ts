/** What `postern doctor` says of certificates that clients take or refuse, made by an authority of the test's own. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer as createPlainServer } from "node:http";
import { createServer } from "node:https";
import { join } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { examine, listening } from "../support/doctor.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
const HERE = "IP:127.0.0.1";

const directory = temporaryDirectory();
const at = (name: string): string => join(directory, name);

function openssl(...args: readonly string[]): void {
  execFileSync("openssl", args, { stdio: "ignore" });
}

function selfSigned(name: string): void {
  const files = ["-keyout", at(`${name}.key`), "-out", at(`${name}.pem`)];
  openssl("req", "-x509", ...KEY, "-days", "30", "-subj", `/CN=${name}`, ...files);
}

/** Makes a certificate of the authority's. @param days that it holds; a negative number has passed */
function issue(name: string, subject: string, days: number): void {
  const [key, request] = [at(`${name}.key`), at(`${name}.csr`)];
  const named = ["-subj", "/CN=server", "-addext", `subjectAltName=${subject}`];
  openssl("req", ...KEY, ...named, "-keyout", key, "-out", request);
  const authority = ["-CA", at("authority.pem"), "-CAkey", at("authority.key")];
  const files = ["-in", request, "-out", at(`${name}.pem`)];
  openssl("x509", "-req", "-copy_extensions", "copy", "-days", `${days}`, ...authority, ...files);
}

/** Clients on this machine believe the authority, until the test ends. */
function trust(): void {
  const before = getCACertificates("default");
  setDefaultCACertificates([...before, readFileSync(at("authority.pem"), "utf8")]);
  onTestFinished(() => setDefaultCACertificates(before));
}

/** What is said of a server with this certificate. */
async function examineCertificate(name: string) {
  const [key, cert] = [readFileSync(at(`${name}.key`)), readFileSync(at(`${name}.pem`))];
  const port = await listening(createServer({ key, cert }, (_request, response) => response.end()));
  return await examine(`https://127.0.0.1:${port}/`);
}

beforeAll(() => {
  selfSigned("authority");
  selfSigned("self-signed");
  issue("good", HERE, 30);
  issue("ending", HERE, 2);
  issue("expired", HERE, -1);
  issue("other-name", "DNS:elsewhere.example", 30);
});

describe("a certificate", () => {
  test.each([
    {
      what: "that its server signed itself",
      name: "self-signed",
      remedy: "refuse a self-signed one",
    },
    { what: "that has expired", name: "expired", remedy: "renew it" },
    { what: "for another name", name: "other-name", remedy: "get one for this name" },
  ])("$what is refused, and nothing behind it is tried", async ({ name, remedy }) => {
    trust();
    const { code, of } = await examineCertificate(name);
    expect(code).toBe(1);
    expect(of("certificate")?.outcome).toBe("failed");
    expect(of("certificate")?.remedy).toContain(remedy);
    expect(of("curl")).toBeUndefined();
  });

  test("whose chain lacks a link is refused", async () => {
    expect((await examineCertificate("good")).of("certificate")?.remedy).toContain(
      "give it the full chain",
    );
  });

  test.each([
    { what: "that holds", name: "good", outcome: "ok", detail: "good for 29 days more" },
    { what: "that soon ends", name: "ending", outcome: "warning", detail: "it ends in 1 day" },
  ])("$what is taken", async ({ name, outcome, detail }) => {
    trust();
    expect((await examineCertificate(name)).of("certificate")).toMatchObject({ outcome, detail });
  });
});

test("a port without TLS is told of", async () => {
  const port = await listening(createPlainServer((_request, response) => void response.end()));
  const { of } = await examine(`https://127.0.0.1:${port}/`);
  expect(of("certificate")?.detail).toContain("no TLS");
});
