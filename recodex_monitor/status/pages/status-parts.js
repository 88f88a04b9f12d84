// Parts that both status pages share.

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

/** A number, shortened for people. */
export const number = (value) =>
  value >= 10000 ? Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(value) : String(value >= 100 ? Math.round(value) : Math.round(value * 10) / 10);

/** An element with this content, which is elements and texts. */
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

/** Tasks as a bar and in words; as long as more may come, a part of the bar stays open. */
export function bar(tasks, over) {
  const known = STATES.reduce((sum, state) => sum + (tasks[state] ?? 0), 0);
  const total = over ? known : known + Math.max(2, known / 4);
  if (!known) return make("span", { className: "quiet" }, over ? "none" : "none yet");
  const counted = STATES.filter((state) => tasks[state]).map((state) => `${tasks[state]} ${state}`).join(", ");
  const text = over ? counted : `${counted} so far`;
  const drawing = draw("svg", { viewBox: `0 0 ${total} 1`, preserveAspectRatio: "none", class: "bar", role: "img", "aria-label": text });
  let at = 0;
  for (const state of STATES) {
    if (!tasks[state]) continue;
    drawing.append(draw("rect", { x: at, width: tasks[state], height: 1, class: state }));
    at += tasks[state];
  }
  if (!over) drawing.append(draw("rect", { x: at, width: total - at, height: 1, class: "open" }));
  drawing.append(draw("title", {}, text));
  const short = [["completed", "✓"], ["failed", "✗"], ["skipped", "»"]]
    .filter(([state]) => tasks[state])
    .map(([state, sign]) => make("span", { className: state, "aria-hidden": "true" }, `${sign}${tasks[state]}`));
  return make("span", { className: "tasks" }, drawing, ...short);
}

/** A state with its sign. */
export const state = (name) => make("span", { className: `state ${name}` }, name);

/** Shows the parts that a page hides without scripts. */
export function reveal() {
  for (const one of document.querySelectorAll(".scripted")) one.hidden = false;
}

/** Shows what is wrong, or nothing. */
export function showHints(hints) {
  const section = document.getElementById("hints");
  section.hidden = !hints.length;
  section.replaceChildren(
    ...hints.map(({ cause, text, remedy }) => {
      const told = make("p", {}, make("strong", {}, `${cause}:`), ` ${text}`);
      if (remedy) told.append(" ", make("span", { className: "remedy" }, remedy));
      return told;
    }),
  );
}
