/** How the Worker's words of an error name a full disk; the gateway looks for them, to give up the room that it holds. */
export const DISK_IS_FULL = "the gateway's disk is full: ";
