/** A machine becomes a box, stays one, and stops being one: against a real gateway. */
import { GET_BOX, REVOKE_BOX } from "../../api/boxes.ts";
import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import {
  type BoxEnrolment,
  mintBoxCredential,
  verifyBoxCredential,
} from "../../auth/box-credential.ts";
import { deriveGatewayKeys } from "../../auth/keys.ts";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

import { type Access, ownAccess } from "../../cli/access.ts";
import { enrolledBox, ephemeralBox, readIdentity } from "../../cli/box-identity.ts";
import { ApiClient } from "../../cli/client.ts";
import { rot } from "../support/rot.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { postern, startPosternGateway } from "./postern.ts";

async function gateway(): Promise<{ access: Access; state: string }> {
  const { state } = await startPosternGateway();
  return { access: ownAccess(state), state };
}

describe("an identity", () => {
  test("is made once, kept for its owner alone, and made anew for another name, region or gateway", async () => {
    const { access } = await gateway();
    const directory = join(temporaryDirectory(), "box");
    const first = await enrolledBox({ access, directory, name: "gpu-1" });
    expect(first).toMatchObject({ url: access.url, workspace: "local", box: "gpu-1", region: "" });
    expect(statSync(join(directory, "identity.json")).mode & 0o777).toBe(0o600);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    expect(await enrolledBox({ access, directory, name: "gpu-1" })).toEqual(first);

    const moved = await enrolledBox({ access, directory, name: "gpu-1", region: "eu-west" });
    expect(moved.serial).not.toBe(first.serial);
    expect(await enrolledBox({ access, directory, name: "gpu-1" })).toEqual(moved);

    const renamed = await enrolledBox({ access, directory, name: "gpu-2" });
    expect(renamed).toMatchObject({ box: "gpu-2", region: "eu-west" });

    const other = await gateway();
    const elsewhere = await enrolledBox({ access: other.access, directory, name: "gpu-2" });
    expect(elsewhere.url).toBe(other.access.url);
    expect(readIdentity(directory)).toEqual(elsewhere);
  });

  test("with any one flipped bit is mended, and is the same box", async () => {
    const { access } = await gateway();
    const directory = temporaryDirectory();
    const whole = await enrolledBox({ access, directory, name: "gpu-1" });
    const path = join(directory, "identity.json");
    const content = readFileSync(path);
    for (let bit = 0; bit < 8 * content.length; bit += 7) {
      rot(path, [bit]);
      expect(readIdentity(directory), `bit ${bit}`).toEqual(whole);
      expect(readFileSync(path).equals(content)).toBe(true);
    }
  });

  test("of an earlier version, with any one flipped bit, is refused here or by the gateway, or is the same box", async () => {
    const { access, state } = await gateway();
    const directory = temporaryDirectory();
    const whole = await enrolledBox({ access, directory, name: "gpu-1" });
    const keys = await deriveGatewayKeys(readFileSync(join(state, "key"), "utf8").trim());
    const path = join(directory, "identity.json");
    rmSync(`${path}.crc32`);
    const content = readFileSync(path);
    const kinds = new Set<string>();
    for (let bit = 0; bit < 8 * content.length; bit += 3) {
      const flipped = Buffer.from(content);
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
      writeFileSync(path, flipped);
      let identity: BoxEnrolment;
      try {
        identity = readIdentity(directory) ?? whole;
      } catch (error) {
        expect(String(error)).toContain("is not a box's identity; remove it");
        kinds.add("unreadable");
        continue;
      }
      const nowS = Date.now() / 1_000;
      const credential = await mintBoxCredential(identity, nowS);
      const verdict = await verifyBoxCredential(keys, credential, whole.audience, nowS);
      kinds.add(verdict.kind);
      if (verdict.kind !== "valid") continue;
      const { workspace, box, serial } = whole;
      expect(verdict.identity).toEqual({ workspace, box, serial });
    }
    expect(kinds).toEqual(new Set(["unreadable", "forged", "elsewhere", "valid"]));
  });

  test("holds at a gateway of this machine under whatever URL it has today", async () => {
    const { access } = await gateway();
    const directory = temporaryDirectory();
    const here = { access, directory, name: "gpu-1" };
    const first = await enrolledBox(here);
    const moved = { ...access, url: "http://localhost:1" };
    const ownDomain = "localhost:1";
    expect(await enrolledBox({ ...here, access: moved, ownDomain })).toEqual({
      ...first,
      audience: ownDomain,
    });
  });

  test("that is no identity is refused with what to do, and so is a name that is none", async () => {
    const { access } = await gateway();
    const directory = temporaryDirectory();
    writeFileSync(join(directory, "identity.json"), "{}");
    const broken = enrolledBox({ access, directory, name: "gpu-1" });
    await expect(broken).rejects.toThrow(/identity\.json is not a box's identity; remove it/);
    const nameless = enrolledBox({ access, directory: temporaryDirectory(), name: "a b" });
    await expect(nameless).rejects.toThrow(/^body\.name: must be 1 to 64/);
  });

  test("of an ephemeral box is kept nowhere", async () => {
    const { access } = await gateway();
    const box = await ephemeralBox(access, "gpu-dev-1");
    expect(box).toMatchObject({ box: "gpu-dev-1" });
    const shown = await new ApiClient(access).call(GET_BOX, { path: { box: "gpu-dev-1" } });
    expect(shown).toMatchObject({ ephemeral: true });
  });

  test("of a box that was revoked is not made anew by itself", async () => {
    const { access } = await gateway();
    const directory = temporaryDirectory();
    const first = await enrolledBox({ access, directory, name: "gpu-1" });
    await new ApiClient(access).call(REVOKE_BOX, { path: { box: "gpu-1" } });
    expect(await enrolledBox({ access, directory, name: "gpu-1" })).toEqual(first);
  });
});

describe("postern box", () => {
  test("lists boxes for people and for programs, and revokes them", async () => {
    const { access, state } = await gateway();
    await enrolledBox({ access, directory: temporaryDirectory(), name: "gpu-1", region: "eu" });
    const env = { HOME: temporaryDirectory() };
    const list = await postern(["box", "list", "--state", state], { env });
    expect(list).toEqual({
      code: 0,
      stdout:
        "NAME   REGION  CONNECTED  LAST SEEN  AGENT  EPHEMERAL\n" +
        "gpu-1  eu      no         never      -      no\n",
      stderr: "",
    });
    const json = await postern(["box", "list", "--json", "--state", state], { env });
    expect(JSON.parse(json.stdout)).toMatchObject([{ name: "gpu-1", connected: false }]);
    const revoke = ["box", "revoke", "gpu-1", "--state", state];
    expect(await postern(revoke, { env })).toEqual({
      code: 0,
      stdout: "",
      stderr: "gpu-1 is revoked\n",
    });
    // A name that is mistyped looks the same: what was meant must not be called revoked.
    expect(await postern(revoke, { env })).toEqual({
      code: 1,
      stdout: "",
      stderr: "postern: the workspace has no box of this name\n",
    });
    const empty = await postern(["box", "list", "--json", "--state", state], { env });
    expect(JSON.parse(empty.stdout)).toEqual([]);
  });

  test("a box's key is in no list", async () => {
    const { access, state } = await gateway();
    const directory = temporaryDirectory();
    await enrolledBox({ access, directory, name: "gpu-1" });
    const { key } = JSON.parse(readFileSync(join(directory, "identity.json"), "utf8")) as {
      key: string;
    };
    const env = { HOME: temporaryDirectory() };
    const { stdout, stderr } = await postern(["box", "list", "--json", "--state", state], { env });
    expect(stdout + stderr).not.toContain(key);
  });
});
