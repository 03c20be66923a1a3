/** Where the time of Node processes went: the functions with the most self time of each CPU profile. */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** The parts of V8's .cpuprofile format that are read here. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: {
      readonly functionName: string;
      readonly url: string;
      readonly lineNumber: number;
    };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const SHOWN = 20;

/** Prints one table per profile in the directory. */
export function printProfiles(directory: string): void {
  for (const file of readdirSync(directory)) {
    const profile = JSON.parse(readFileSync(join(directory, file), "utf8")) as CpuProfile;
    const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]));
    const selfMs = new Map<string, number>();
    for (const [index, id] of profile.samples.entries()) {
      const frame = frames.get(id);
      if (frame === undefined || frame.functionName === "(idle)") continue;
      const place = frame.url.split("/").slice(-2).join("/");
      const name = `${frame.functionName || "(anonymous)"} ${place}:${frame.lineNumber + 1}`;
      const deltaMs = (profile.timeDeltas[index] ?? 0) / 1000;
      selfMs.set(name, (selfMs.get(name) ?? 0) + deltaMs);
    }
    const busyMs = [...selfMs.values()].reduce((sum, ms) => sum + ms, 0);
    console.log(
      `\n## Profile ${file}: ${Math.round(busyMs)} ms busy\n\n| self | share | function |`,
    );
    console.log("|---:|---:|---|");
    for (const [name, ms] of [...selfMs].toSorted((a, b) => b[1] - a[1]).slice(0, SHOWN)) {
      const share = ((100 * ms) / busyMs).toFixed(1);
      console.log(`| ${ms.toFixed(0)} ms | ${share} % | ${name} |`);
    }
  }
}
