import { expect, test } from "vitest";

import { poolSettings } from "../../../origin-gpu/endpoints/pool-settings.ts";
import { endpointConfig, serverEndpoint } from "../containers/endpoint.ts";

const SCALING = {
  min_containers: 2,
  max_containers: 5,
  buffer_containers: 1,
  scaledown_window: 90,
};

test("a pool has the numbers of its configuration, but for those that were changed since", () => {
  const settings = { ...serverEndpoint(), minContainers: 1, maxContainers: 3, scaledownWindow: 30 };
  expect(poolSettings(settings, { scaling: { max_containers: 7 } })).toEqual({
    ...poolSettings(settings),
    maxContainers: 7,
  });
  expect(poolSettings(settings, { scaling: SCALING })).toMatchObject({
    minContainers: 2,
    maxContainers: 5,
    bufferContainers: 1,
    scaledownWindowMs: 90_000,
  });
});

test("a server that runs already is one container, whatever is asked for", () => {
  const settings = endpointConfig({ kind: { type: "upstream", url: "http://127.0.0.1:1" } });
  expect(poolSettings(settings, { scaling: SCALING })).toEqual(poolSettings(settings));
});

test.each([
  [{ gpus: [{ count: 1 }] }, true],
  [{ gpuMemory: 1 }, true],
  [{}, false],
])(
  "a start that no call needs any more is given up where others may want its GPU: %j",
  (needs, gives) => {
    expect(poolSettings({ ...serverEndpoint(), ...needs }).givesUpStarts).toBe(gives);
  },
);
