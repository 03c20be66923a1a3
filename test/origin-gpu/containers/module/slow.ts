import { setTimeout } from "node:timers/promises";

export async function app(): Promise<void> {
  console.log("starts");
  await setTimeout(60_000);
}
