/**
 * SHA-256 (FIPS 180-4), at once and without a promise: Web Crypto's takes one, and a key is needed in the middle of
 * decisions that take none. For short texts of session keys alone, never for a secret. Pure.
 */

/** SHA-256 of a text in UTF-8, as lower-case hex. */
export function digestOfText(text: string): string {
  const state = Uint32Array.from(INITIAL);
  const blocks = padded(new TextEncoder().encode(text));
  const schedule = new Uint32Array(64);
  for (let block = 0; block < blocks.length; block += 16) {
    schedule.set(blocks.subarray(block, block + 16));
    compress(state, schedule);
  }
  let hex = "";
  for (const part of state) hex += part.toString(16).padStart(8, "0");
  return hex;
}

/** 5.1.1: the bytes, a one bit, zeros, and the number of bits in 64 bits. */
function padded(bytes: Uint8Array): Uint32Array {
  const length = Math.ceil((bytes.length + 9) / 64) * 64;
  const block = new Uint8Array(length);
  block.set(bytes);
  block[bytes.length] = 0x80;
  const view = new DataView(block.buffer);
  view.setUint32(length - 8, Math.floor(bytes.length / 2 ** 29));
  view.setUint32(length - 4, bytes.length * 8);
  return Uint32Array.from({ length: length / 4 }, (_, index) => view.getUint32(index * 4));
}

/** 6.2.2: one block, whose 16 words stand in front of the schedule. */
function compress(state: Uint32Array, schedule: Uint32Array): void {
  for (let round = 16; round < 64; round += 1) {
    const early = word(schedule, round - 15);
    const late = word(schedule, round - 2);
    const s0 = turn(early, 7) ^ turn(early, 18) ^ (early >>> 3);
    const s1 = turn(late, 17) ^ turn(late, 19) ^ (late >>> 10);
    schedule[round] = word(schedule, round - 16) + s0 + word(schedule, round - 7) + s1;
  }
  let a = word(state, 0);
  let b = word(state, 1);
  let c = word(state, 2);
  let d = word(state, 3);
  let e = word(state, 4);
  let f = word(state, 5);
  let g = word(state, 6);
  let h = word(state, 7);
  for (let round = 0; round < 64; round += 1) {
    const s1 = turn(e, 6) ^ turn(e, 11) ^ turn(e, 25);
    const choice = (e & f) ^ (~e & g);
    const first = (h + s1 + choice + word(ROUNDS, round) + word(schedule, round)) | 0;
    const s0 = turn(a, 2) ^ turn(a, 13) ^ turn(a, 22);
    const majority = (a & b) ^ (a & c) ^ (b & c);
    h = g;
    g = f;
    f = e;
    e = (d + first) | 0;
    d = c;
    c = b;
    b = a;
    a = (first + s0 + majority) | 0;
  }
  // Not as a list, which the engine would make for each block.
  state[0] = word(state, 0) + a;
  state[1] = word(state, 1) + b;
  state[2] = word(state, 2) + c;
  state[3] = word(state, 3) + d;
  state[4] = word(state, 4) + e;
  state[5] = word(state, 5) + f;
  state[6] = word(state, 6) + g;
  state[7] = word(state, 7) + h;
}

function word(words: Uint32Array, index: number): number {
  return words[index] as number;
}

function turn(bits: number, by: number): number {
  return (bits >>> by) | (bits << (32 - by));
}

/** The first 32 bits of the fractional part of a root. */
function fraction(root: number): number {
  return Math.floor((root - Math.floor(root)) * 2 ** 32);
}

const PRIMES = Array.from({ length: 310 }, (_, index) => index + 2).filter((number) => {
  for (let divisor = 2; divisor * divisor <= number; divisor += 1) {
    if (number % divisor === 0) return false;
  }
  return true;
});

/** 5.3.3: of the square roots of the first eight primes. */
const INITIAL = Uint32Array.from(PRIMES.slice(0, 8), (prime) => fraction(Math.sqrt(prime)));

/** 4.2.2: of the cube roots of the first 64 primes. */
const ROUNDS = Uint32Array.from(PRIMES.slice(0, 64), (prime) => fraction(Math.cbrt(prime)));
