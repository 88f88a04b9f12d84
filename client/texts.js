/**
 * Texts for people in their language. A further language is one more file, and its line here.
 */

import cs from "./texts-cs.js";
import en from "./texts-en.js";

const LANGUAGES = { __proto__: null, en, cs }; // languages may have any name, such as "constructor"

/** The language to use of those that somebody reads, such as "cs-CZ", the best first. */
export function chosen(...wanted) {
  return wanted.map((one) => one?.split("-")[0].toLowerCase()).find((one) => one in LANGUAGES) ?? "en";
}

/** A function that makes the text of a key from values: `say("done", { n: 5 })`. */
export function texts(language) {
  const rules = new Intl.PluralRules(language);
  return (key, values = {}) => {
    const found = LANGUAGES[language][key] ?? en[key];
    const form = typeof found === "string" ? found : found[rules.select(values[found.by ?? "n"])];
    return form.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  };
}

/** A time as "2 min", in the largest unit that it fills. */
export function duration(seconds, language) {
  const units = { hour: 3600, minute: 60, second: 1 };
  const [unit, length] = Object.entries(units).find(([, length]) => seconds >= length) ?? ["second", 1];
  const style = { style: "unit", unit, unitDisplay: "short" };
  return new Intl.NumberFormat(language, style).format(Math.floor(seconds / length));
}
