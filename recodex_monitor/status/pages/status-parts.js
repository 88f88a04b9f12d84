// What both pages of the status are made of.

const UNITS = [
  [86400, "d"],
  [3600, "h"],
  [60, "min"],
];

/** A length of time for people. */
export function span(seconds) {
  for (const [size, unit] of UNITS) if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  return `${Math.max(0, Math.floor(seconds))} s`;
}

/** A number with no more digits than somebody wants to read. */
export const number = (value) =>
  value >= 10000 ? Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(value) : String(value >= 100 ? Math.round(value) : Math.round(value * 10) / 10);

/** An element; what it holds are elements and texts. */
export function make(name, { className, ...attributes } = {}, ...content) {
  const made = document.createElement(name);
  if (className) made.className = className;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...content);
  return made;
}

/** An element of a drawing. */
export function draw(name, attributes, ...content) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...content);
  return made;
}

const STATES = ["completed", "failed", "skipped"];

/** Tasks as a bar and in words. */
export function bar(tasks) {
  const total = STATES.reduce((sum, state) => sum + (tasks[state] ?? 0), 0);
  if (!total) return make("span", { className: "quiet" }, "none yet");
  const text = STATES.filter((state) => tasks[state]).map((state) => `${tasks[state]} ${state}`).join(", ");
  const drawing = draw("svg", { viewBox: `0 0 ${total} 1`, preserveAspectRatio: "none", class: "bar", role: "img", "aria-label": text });
  let at = 0;
  for (const state of STATES) {
    if (!tasks[state]) continue;
    drawing.append(draw("rect", { x: at, width: tasks[state], height: 1, class: state }));
    at += tasks[state];
  }
  drawing.append(draw("title", {}, text));
  const short = [["completed", "✓"], ["failed", "✗"], ["skipped", "»"]]
    .filter(([state]) => tasks[state])
    .map(([state, sign]) => make("span", { className: state, "aria-hidden": "true" }, `${sign}${tasks[state]}`));
  return make("span", { className: "tasks" }, drawing, ...short);
}

/** A state with its sign. */
export const state = (name) => make("span", { className: `state ${name}` }, name);

/** Shows what is wrong, or nothing. */
export function showHints(hints) {
  const place = document.getElementById("hints");
  place.hidden = !hints.length;
  place.replaceChildren(...hints.map(({ cause, text }) => make("p", {}, make("strong", {}, cause), ` ${text}`)));
}
