import fc from "fast-check";
import { expect, test } from "vitest";
import { connectionName, kernelConnectionName } from "../../routing/connection-name.ts";

test.each([
  ["127.0.0.1:34012", "0100007F:84DC"],
  ["192.0.2.255:1", "FF0200C0:0001"],
  ["[::1]:443", "00000000000000000000000001000000:01BB"],
  ["[2001:db8::8:800:200c:417a]:8787", "B80D012000000000000808007A410C20:2253"],
  ["[::ffff:192.0.2.7]:80", "0000000000000000FFFF0000070200C0:0050"],
  ["192.0.2.7:80", "0000000000000000FFFF0000070200C0:0050"],
])("workerd's %s and the kernel's %s are one connection", (text, kernel) => {
  expect(connectionName(text)).toBe(kernelConnectionName(kernel));
});

const byte = fc.integer({ min: 0, max: 255 });
const port = fc.integer({ min: 1, max: 65_535 });
const hex = (value: number, digits: number) =>
  value.toString(16).toUpperCase().padStart(digits, "0");

/** An address as the kernel of a little-endian machine writes it. */
function kernelText(bytes: readonly number[], at: number): string {
  const words = [];
  for (let start = 0; start < bytes.length; start += 4) {
    words.push(
      bytes
        .slice(start, start + 4)
        .toReversed()
        .map((value) => hex(value, 2))
        .join(""),
    );
  }
  return `${words.join("")}:${hex(at, 4)}`;
}

test("each IPv4 connection has one name", () => {
  fc.assert(
    fc.property(fc.array(byte, { minLength: 4, maxLength: 4 }), port, (bytes, at) => {
      expect(kernelConnectionName(kernelText(bytes, at))).toBe(
        connectionName(`${bytes.join(".")}:${at}`),
      );
    }),
  );
});

test("each IPv6 connection has one name", () => {
  fc.assert(
    fc.property(fc.array(byte, { minLength: 16, maxLength: 16 }), port, (bytes, at) => {
      const groups = Array.from({ length: 8 }, (_, index) =>
        (((bytes[2 * index] as number) << 8) | (bytes[2 * index + 1] as number)).toString(16),
      );
      const canonical = new URL(`http://[${groups.join(":")}]/`).hostname;
      expect(kernelConnectionName(kernelText(bytes, at))).toBe(
        connectionName(`${canonical}:${at}`),
      );
    }),
  );
});
