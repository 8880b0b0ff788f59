/** Numbers and times as people read them. */

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const TENTHS = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const CLOCK = new Intl.DateTimeFormat("en", { timeStyle: "medium", hourCycle: "h23" });

/** Control characters, and those that set the direction of writing or have no width. */
const HIDDEN = /[\p{Cc}\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/gu;

/** "12,345" */
export const count = (number) => WHOLE.format(number);

/** So many a second: "0", "3.4", "1,234" */
export function rate(number) {
  if (number > 0 && number < 0.05) return "< 0.1";
  return number === 0 || number >= 99.95 ? WHOLE.format(number) : TENTHS.format(number);
}

/** "12.3K": for where there is little room. */
export const short = (number) => SHORT.format(number);

/** "12 s", "3 min", "2 h 5 min", "3 d 4 h" */
export function duration(seconds) {
  const whole = Math.floor(seconds);
  const [days, hours, minutes] = [Math.floor(whole / 86_400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60];
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min` : `${whole} s`;
}

/** The time of day of a `Date`, or of milliseconds since 1970: "13:05:09" */
export const clock = (time) => CLOCK.format(time);

/** "1 session", "2 sessions" */
export const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

/** A text without what nobody sees: characters that turn the rest around, or are none, are written as escapes. */
export const visible = (text) =>
  text.replace(HIDDEN, (character) => `\\u${character.codePointAt(0).toString(16).padStart(4, "0")}`);

/** At most so many characters, and a word on how many there were. */
export const shorten = (text, most) => (text.length > most ? `${text.slice(0, most)}… (${count(text.length)} characters)` : text);
