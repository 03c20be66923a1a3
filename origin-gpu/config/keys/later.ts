/** The keys that have their place and no effect yet. They are refused, so that nobody counts on them. None is left. */
export const LATER_KEYS = {};
