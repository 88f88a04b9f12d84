// The page of one job: asks again every two seconds while the page is visible.
import { bar, draw, make, reveal, showHints, span, state } from "/status-parts.js";

const byId = (id) => document.getElementById(id);
const id = decodeURIComponent(location.pathname.slice("/channels/".length));
let told = 0;

const clock = (at) =>
  at === null ? "before the restart" : new Date(at * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 2 });

function fill(table, rows) {
  byId(table).hidden = !rows.length;
  byId(table).tBodies[0].replaceChildren(...rows);
}

function message({ number, at, command, task_id, task_state }, before) {
  const after = at === null || before === null ? "" : `+${(at - before).toFixed(2)} s`;
  const text = make("td", { className: "message" }, make("b", {}, command));
  if (task_id !== undefined) text.append(` ${task_id} `);
  if (task_state !== undefined) text.append(make("span", { className: String(task_state).toLowerCase() }, task_state));
  return make(
    "tr",
    {},
    make("td", { className: "number quiet" }, String(number)),
    make("td", { className: "number" }, clock(at)),
    make("td", { className: "number quiet" }, after),
    text,
  );
}

const reader = ({ transport, since, behind, slow, address }, now) =>
  make(
    "tr",
    {},
    make("td", {}, transport),
    make("td", { className: "number" }, span(now - since)),
    make("td", { className: `number ${slow ? "bad" : ""}` }, behind ? `${behind} B` : "no"),
    make("td", { className: "quiet" }, address ?? "not shown"),
  );

const STATES = ["completed", "failed", "skipped"];

/** When an attempt sent its messages, on the time of all attempts. */
function lane({ number, began, last, end }, { timeline, now }, first, length) {
  const drawing = draw("svg", { viewBox: "0 0 1000 20", preserveAspectRatio: "none", class: "lane", "aria-hidden": "true" });
  const place = (at) => (980 * (at - first)) / length + 10;
  drawing.append(draw("line", { x1: place(began), x2: place(end === null ? now : last), y1: 10, y2: 10, "vector-effect": "non-scaling-stroke" }));
  for (const { at, attempt, task_state: ended } of timeline) {
    if (attempt !== number || at === null) continue;
    const kind = STATES.find((one) => one === String(ended).toLowerCase()) ?? "other";
    drawing.append(draw("line", { x1: place(at), x2: place(at), y1: 3, y2: 17, class: kind, "vector-effect": "non-scaling-stroke" }));
  }
  return drawing;
}

function attempts(job) {
  const timed = job.timeline.filter(({ at }) => at !== null);
  const first = timed[0]?.at ?? 0;
  const length = Math.max(0.01, (job.end === null ? job.now : (timed.at(-1)?.at ?? 0)) - first);
  return job.attempts_made.map((one) => {
    const { number, began, last, tasks, end } = one;
    const over = end ?? (job.end === null ? "running" : job.end);
    const known = began !== null && last !== null;
    return make(
      "tr",
      {},
      make("td", { className: "number quiet" }, String(number)),
      make("td", { className: "number" }, clock(began)),
      make("td", { className: "number" }, known ? span((end === null ? job.now : last) - began) : "?"),
      make("td", {}, bar(tasks, end !== null)),
      make("td", {}, state(over)),
      make("td", { className: "lane" }, ...(known ? [lane(one, job, first, length)] : [])),
    );
  });
}

function show(job) {
  if (String(getSelection())) return;
  byId("going-on").textContent = job.going_on;
  byId("going-on").className = `state ${job.state}`;
  byId("told").textContent = job.advice;
  const gone = job.state === "forgotten" ? "no longer kept" : "none";
  byId("made").textContent = job.timeline.length ? String(job.attempts) : gone;
  fill("attempts", attempts(job));
  showHints(job.hints);
  byId("followers").textContent = job.followers ? String(job.followers) : "none";
  fill("readers", job.readers.map((one) => reader(one, job.now)));
  byId("count").textContent = job.timeline.length ? String(job.messages) : job.messages ? `${job.messages}, ${gone}` : "none";
  byId("omitted").hidden = !job.omitted;
  byId("omitted").textContent = `${job.omitted} before these`;
  let before = null;
  const rows = job.timeline.map((one) => {
    const made = message(one, before);
    before = one.at;
    return made;
  });
  fill("timeline", rows.reverse());
}

async function ask() {
  try {
    const answer = await fetch(`/api/channels/${encodeURIComponent(id)}`, { signal: AbortSignal.timeout(10_000) });
    if (answer.status === 401) location.reload();
    if (!answer.ok) throw new Error(answer.statusText);
    show(await answer.json());
    told = Date.now();
    byId("age").textContent = "live";
    byId("age").className = "good";
  } catch {
    byId("age").textContent = told ? `no news for ${span((Date.now() - told) / 1000)}` : "no answer";
    byId("age").className = "bad";
  }
}

reveal();
byId("age").textContent = "connecting…";
byId("id").textContent = document.title = id;
for (;;) {
  if (!document.hidden) await ask();
  await new Promise((resolve) => setTimeout(resolve, 2000));
}
