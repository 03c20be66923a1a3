import {
  createHmac,
  createSign,
  generateKeyPairSync,
  type KeyObject,
  sign as signBytes,
} from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { claimsText, JwtKeys, verifyJwt } from "../../auth/jwt.ts";

const NOW_S = 1_800_000_000;
const TRUST = { issuer: "https://id.example", audience: "chat" };
const CLAIMS = { iss: TRUST.issuer, aud: TRUST.audience, sub: "ada", exp: NOW_S + 60 };

const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
const ed = generateKeyPairSync("ed25519");
const weak = generateKeyPairSync("rsa", { modulusLength: 1024 });
const stranger = generateKeyPairSync("rsa", { modulusLength: 2048 });

const jwk = (key: KeyObject, more: object) => ({ ...key.export({ format: "jwk" }), ...more });
const OCT_SECRET = "secret secret secret secret secre";
const KEYS = [
  jwk(rsa.publicKey, { kid: "rsa", alg: "RS256", use: "sig" }),
  jwk(ec.publicKey, { kid: "ec", alg: "ES256" }),
  jwk(ed.publicKey, { kid: "ed" }),
  jwk(weak.publicKey, { kid: "weak" }),
  jwk(rsa.publicKey, { kid: "enc", use: "enc" }),
  { kty: "oct", kid: "oct", k: Buffer.from(OCT_SECRET).toString("base64url") },
];
const parsed = JwtKeys.parse(JSON.stringify({ keys: KEYS }));
if (parsed === undefined) throw new Error("the keys are not read");
const keys = parsed;

const verify = async (token: string, nowS = NOW_S) => await verifyJwt(token, TRUST, keys, nowS);
const encode = (value: unknown) =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

type Sign = (text: string) => Buffer | string;
const byRsa: Sign = (text) => createSign("sha256").update(text).sign(rsa.privateKey);
const byEc: Sign = (text) =>
  signBytes("sha256", Buffer.from(text), { key: ec.privateKey, dsaEncoding: "ieee-p1363" });
const bySecret =
  (secret: string | Buffer): Sign =>
  (text) =>
    createHmac("sha256", secret).update(text).digest();

function token(header: object, claims: unknown, sign: Sign): string {
  const text = `${encode(header)}.${encode(claims)}`;
  return `${text}.${Buffer.from(sign(text)).toString("base64url")}`;
}

const RS256 = { alg: "RS256", kid: "rsa" };
const good = (claims: object = {}, header: object = {}) =>
  token({ ...RS256, ...header }, { ...CLAIMS, ...claims }, byRsa);

describe("a token of the issuer", () => {
  test.each([
    ["RS256", () => good()],
    ["ES256", () => token({ alg: "ES256", kid: "ec", typ: "at+jwt" }, CLAIMS, byEc)],
    [
      "EdDSA",
      () =>
        token({ alg: "EdDSA", kid: "ed" }, CLAIMS, (text) =>
          signBytes(null, Buffer.from(text), ed.privateKey),
        ),
    ],
    ["the one key of its kind, not named", () => token({ alg: "ES256" }, CLAIMS, byEc)],
    ["several audiences", () => good({ aud: ["mail", "chat"] })],
  ])("opens by %s", async (_how, make) => {
    expect(await verify(make())).toMatchObject({ kind: "valid", claims: { sub: "ada" } });
  });

  test.each([
    [{}, NOW_S + 119, "valid"],
    [{}, NOW_S + 121, "invalid"],
    [{ nbf: NOW_S + 59 }, NOW_S, "valid"],
    [{ nbf: NOW_S + 61 }, NOW_S, "invalid"],
    [{ iat: NOW_S + 59 }, NOW_S, "valid"],
  ])("is good in its time, with a minute of skew: %j at %d", async (claims, nowS, kind) => {
    expect(await verify(good(claims), nowS)).toMatchObject({ kind });
  });

  test.each([
    ["another issuer", { iss: "https://id.example/" }],
    ["no issuer", { iss: undefined }],
    ["another audience", { aud: "chatter" }],
    ["other audiences", { aud: ["mail"] }],
    ["no audience", { aud: undefined }],
    ["no expiry", { exp: undefined }],
    ["a text for its expiry", { exp: `${NOW_S + 60}` }],
    ["a text for its beginning", { nbf: "0" }],
  ])("opens nothing with %s", async (_what, claims) => {
    expect(await verify(good(claims))).toEqual({ kind: "invalid" });
  });

  test("names a key that the issuer may have by now", async () => {
    const sign: Sign = (text) => createSign("sha256").update(text).sign(stranger.privateKey);
    expect(await verify(token({ alg: "RS256", kid: "new" }, CLAIMS, sign))).toEqual({
      kind: "unknown_key",
    });
  });
});

describe("an attack", () => {
  const pem = rsa.publicKey.export({ format: "pem", type: "spki" });
  const secret = Buffer.from(OCT_SECRET);
  const inline = jwk(stranger.publicKey, { kid: "rsa" });
  const byStranger: Sign = (text) => createSign("sha256").update(text).sign(stranger.privateKey);

  test.each<[string, string]>([
    ["no signature", token({ alg: "none" }, CLAIMS, () => "").replace(/[^.]*$/, "")],
    ["no signature, in other case", token({ alg: "nOnE", kid: "rsa" }, CLAIMS, () => "x")],
    [
      "the public key as a secret (PEM)",
      token({ alg: "HS256", kid: "rsa" }, CLAIMS, bySecret(pem)),
    ],
    [
      "the public key as a secret (JWK)",
      token({ alg: "HS256", kid: "rsa" }, CLAIMS, bySecret(JSON.stringify(KEYS[0]))),
    ],
    ["a secret among the keys", token({ alg: "HS256", kid: "oct" }, CLAIMS, bySecret(secret))],
    ["its own key, inline", token({ ...RS256, jwk: inline }, CLAIMS, byStranger)],
    [
      "its own key, by URL",
      token({ ...RS256, jku: "https://evil.example/jwks" }, CLAIMS, byStranger),
    ],
    [
      "its own certificate",
      token({ ...RS256, x5u: "https://evil.example/c", x5c: ["AA"] }, CLAIMS, byStranger),
    ],
    ["a key of another kind", token({ alg: "ES256", kid: "rsa" }, CLAIMS, byRsa)],
    [
      "another algorithm than the key's",
      token({ alg: "RS512", kid: "rsa" }, CLAIMS, (text) =>
        createSign("sha512").update(text).sign(rsa.privateKey),
      ),
    ],
    ["a key for encryption", good({}, { kid: "enc" })],
    [
      "a weak key",
      token({ alg: "RS256", kid: "weak" }, CLAIMS, (text) =>
        createSign("sha256").update(text).sign(weak.privateKey),
      ),
    ],
    ["a path as the key's name", good({}, { kid: "../../dev/null" })],
    ["a number as the key's name", good({}, { kid: 7 })],
    ["a member of objects as the key's name", good({}, { kid: "__proto__" })],
    ["an algorithm in other case", good({}, { alg: "rs256" })],
    ["an unknown critical part", good({}, { crit: ["x"], x: 1 })],
    ["an unencoded payload", good({}, { crit: ["b64"], b64: false })],
    ["a signature of zeros", token({ alg: "ES256", kid: "ec" }, CLAIMS, () => Buffer.alloc(64))],
    [
      "a signature in DER",
      token({ alg: "ES256", kid: "ec" }, CLAIMS, (text) =>
        signBytes("sha256", Buffer.from(text), ec.privateKey),
      ),
    ],
    [
      "a short signature",
      token({ alg: "ES256", kid: "ec" }, CLAIMS, (text) => Buffer.from(byEc(text)).subarray(0, 63)),
    ],
    ["padding", `${good()}=`],
    ["a line break", `${good()}\n`],
    ["a blank", good().replace(".", ". ")],
    ["standard base64", good().replace(/-|_/, "+")],
    ["unused bits set", unusedBits(good())],
    ["a part too many", `${good()}.${encode("x")}`],
    ["two parts", good().split(".").slice(0, 2).join(".")],
    ["claims that are no object", token(RS256, "[1]", byRsa)],
    ["claims that are no JSON", token(RS256, "{", byRsa)],
    [
      "a signature over other claims",
      good().replace(/\.[^.]*\./, `.${encode({ ...CLAIMS, sub: "eve" })}.`),
    ],
    ["a length that nobody sends", good({ more: "x".repeat(17_000) })],
    ["nothing", ""],
  ])("by %s is refused", async (_what, attack) => {
    const { kind } = await verify(attack);
    // An unknown key opens nothing either: the issuer is asked for newer ones.
    expect(["invalid", "unknown_key"]).toContain(kind);
  });

  test("by any text is refused, and by any change of a good token", async () => {
    const right = good();
    const changed = fc
      .tuple(fc.nat({ max: right.length - 1 }), fc.constantFrom(...Array.from("Aa0-_.=")))
      .filter(([at, character]) => right[at] !== character)
      .map(([at, character]) => right.slice(0, at) + character + right.slice(at + 1));
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string({ unit: "binary" }), changed), async (text) => {
        expect((await verify(text)).kind).not.toBe("valid");
      }),
    );
  });
});

/** The same bytes in another spelling: the last character of an RSA signature carries four unused bits. */
function unusedBits(text: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const last = alphabet.indexOf(text.at(-1) ?? "");
  return text.slice(0, -1) + (alphabet[last ^ 1] ?? "");
}

test("a token has at most 16,384 characters", async () => {
  // Three bytes are four characters, so that the header has to be longer too for some lengths.
  const tokenOf = (length: number): string => {
    const least = Math.floor(((length - good({ pad: "" }, { pad: "" }).length) * 3) / 4);
    for (let bytes = least - 6; bytes <= least; bytes += 1) {
      for (const pad of ["", "x", "xx"]) {
        const text = good({ pad: "x".repeat(bytes) }, { pad });
        if (text.length === length) return text;
      }
    }
    throw new Error(`no token of ${length} characters`);
  };
  for (const length of [16_383, 16_384]) {
    expect(await verify(tokenOf(length))).toMatchObject({ kind: "valid" });
  }
  expect(await verify(tokenOf(16_385))).toEqual({ kind: "invalid" });
});

describe("an issuer's keys", () => {
  test("are 100 at most", () => {
    const read = (count: number) =>
      JwtKeys.parse(JSON.stringify({ keys: Array.from({ length: count }, () => KEYS[0]) }));
    expect([read(99), read(100)]).not.toContain(undefined);
    expect(read(101)).toBeUndefined();
  });

  test.each([
    ["", "{}", "[]", '{"keys":{}}', '{"keys":[]}', "null"],
    [JSON.stringify({ keys: [KEYS[5]] })],
    [JSON.stringify({ keys: [jwk(rsa.privateKey, { kid: "rsa" })] })],
  ])("are none in %s", (...texts) => {
    for (const text of texts) expect(JwtKeys.parse(text)).toBeUndefined();
  });
});

test("claims are told in ASCII, on one line", () => {
  const text = claimsText({ name: "Jörg 日本 🚪", line: "a\r\nb" });
  expect(text).toMatch(/^[ -~]*$/);
  expect(JSON.parse(text)).toEqual({ name: "Jörg 日本 🚪", line: "a\r\nb" });
});
