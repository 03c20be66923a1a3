import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { dnsQuestion, parseDnsAnswer, type RecordType } from "../../routing/dns-message.ts";
import { askedName, dnsAnswer, type TestRecord } from "../support/dns-answers.ts";

const NAME = "_postern-challenge.example.com";

const txtQuestion = (name: string) => dnsQuestion(name, "TXT");
const parseTxtAnswer = (bytes: Uint8Array, name: string) => parseDnsAnswer(bytes, name, "TXT");

function parsed(records: readonly TestRecord[], rcode = 0) {
  return parseTxtAnswer(dnsAnswer(txtQuestion(NAME), records, rcode), NAME);
}

function texts(...values: string[]) {
  return { ok: true, value: { kind: "values", values } };
}

test("the question is the bytes that RFC 1035 says", () => {
  const bytes = Buffer.from(txtQuestion("a.example"));
  expect(bytes.toString("hex")).toBe(
    "0000" +
      "0100" +
      "0001" +
      "0000" +
      "0000" +
      "0000" +
      "0161" +
      "076578616d706c65" +
      "00" +
      "0010" +
      "0001",
  );
  expect(askedName(txtQuestion(NAME))).toBe(NAME);
});

describe("an answer", () => {
  test("has each record's strings joined", () => {
    const records = [
      { owner: NAME, txt: ["one"] },
      { owner: NAME.toUpperCase(), txt: ["tw", "o"] },
    ];
    expect(parsed(records)).toEqual(texts("one", "two"));
  });

  test("follows aliases", () => {
    const records = [
      { owner: NAME, cname: "b.example" },
      { owner: "b.example", cname: "c.example" },
      { owner: "c.example", txt: ["there"] },
    ];
    expect(parsed(records)).toEqual(texts("there"));
  });

  test("gives nothing of another name's records", () => {
    expect(parsed([{ owner: "example.com", txt: ["x"] }])).toEqual(texts());
  });

  test("of a name that is not there has no text, and a server that could not find out says so", () => {
    expect(parsed([], 3)).toEqual(texts());
    expect(parsed([], 2)).toEqual({ ok: true, value: { kind: "failure", rcode: 2 } });
  });

  test.each<[RecordType, TestRecord, string]>([
    ["A", { owner: "b.example", a: [192, 0, 2, 7] }, "192.0.2.7"],
    [
      "AAAA",
      { owner: "b.example", aaaa: [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0f] },
      "2001:db8::f",
    ],
  ])("has addresses of type %s, behind an alias too", (type, record, address) => {
    const others: TestRecord[] = [
      { owner: NAME, cname: "b.example" },
      { owner: "b.example", txt: ["no address"] },
    ];
    const read = (...records: TestRecord[]) =>
      parseDnsAnswer(dnsAnswer(dnsQuestion(NAME, type), records), NAME, type);
    expect(read(...others, record)).toEqual(texts(address));
    expect(read(...others)).toEqual(texts());
    // The question says the type, and a record is as long as its type.
    expect(parseTxtAnswer(dnsAnswer(dnsQuestion(NAME, type), []), NAME).ok).toBe(false);
    const cut = "a" in record ? { ...record, a: record.a.slice(1) } : record;
    const long = "aaaa" in cut ? { ...cut, aaaa: [...cut.aaaa, 0, 0] } : cut;
    expect(read(...others, long)).toEqual({ ok: false, error: "an address in it is none" });
  });

  test("that goes round in a circle of aliases ends", () => {
    const records = [
      { owner: NAME, cname: "b.example" },
      { owner: "b.example", cname: NAME },
    ];
    expect(parsed(records)).toEqual({ ok: false, error: "it has too many aliases" });
  });

  test("may compress names, and a pointer that leads on is refused", () => {
    const answer = Buffer.from(dnsAnswer(txtQuestion(NAME), [{ owner: "x", txt: ["y"] }]));
    const owner = 12 + NAME.length + 2 + 4;
    const compressed = Buffer.concat([
      answer.subarray(0, owner),
      Buffer.from([0xc0, 12]),
      answer.subarray(owner + 3),
    ]);
    expect(parseTxtAnswer(compressed, NAME)).toEqual(texts("y"));
    for (const target of [owner, owner + 1]) {
      compressed[owner] = 0xc0 | (target >> 8);
      compressed[owner + 1] = target & 0xff;
      expect(parseTxtAnswer(compressed, NAME)).toMatchObject({ ok: false });
    }
  });

  test("to another question is refused", () => {
    const answer = dnsAnswer(txtQuestion("b.example"), []);
    expect(parseTxtAnswer(answer, NAME)).toEqual({
      ok: false,
      error: "it answers another question",
    });
    expect(parseTxtAnswer(txtQuestion(NAME), NAME)).toEqual({
      ok: false,
      error: "it is a question",
    });
  });

  test("that was cut short or changed is read or refused, and nothing else", () => {
    const whole = dnsAnswer(txtQuestion(NAME), [
      { owner: NAME, cname: "b.example" },
      { owner: "b.example", txt: ["there"] },
    ]);
    for (let length = 0; length < whole.length; length++) {
      expect(parseTxtAnswer(whole.subarray(0, length), NAME).ok).toBe(false);
    }
    const change = fc.tuple(fc.nat(whole.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), (changes) => {
        const bytes = Uint8Array.from(whole);
        for (const [at, byte] of changes) bytes[at] = byte;
        const result = parseTxtAnswer(bytes, NAME);
        if (!result.ok) expect(result.error).toMatch(/^(it|a|an) /);
      }),
      { numRuns: 2_000 },
    );
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 600 }),
        fc.constantFrom<RecordType>("A", "AAAA", "TXT"),
        (bytes, type) => void parseDnsAnswer(bytes, NAME, type),
      ),
    );
  });
});
