/** Words about a verified caller for the app: the value of `X-Verified-User-Data`. Pure. */

/** Modal's limit: metadata has fewer than 512 characters. */
export const MAX_USER_DATA_CHARACTERS = 511;

/** Words for the author of a wrong text. */
export const USER_DATA_RULE = `must be at most ${MAX_USER_DATA_CHARACTERS} characters on one line, without blanks at its ends`;

/** Whether an app may be told a text: it is a header's value as it stands. */
export function isUserData(text: string): boolean {
  if (text.length > MAX_USER_DATA_CHARACTERS || text !== text.trim()) return false;
  return !/[\p{Cc}\p{Cs}\uFFFD]/u.test(text);
}
