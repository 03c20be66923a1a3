/**
 * The responses that stream through this isolate, by their workspaces. The objects of links count them, since no code of
 * the Worker runs while one is passed on.
 */
import { Counts } from "../../routing/counts.ts";

export const streamingResponses = new Counts();
