// The page of one job: asks again every other second while somebody looks.
import { bar, make, showHints, span } from "/status-parts.js";

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

function show(job) {
  if (String(getSelection())) return;
  byId("going-on").textContent = job.going_on;
  byId("going-on").className = `state ${job.state}`;
  byId("tasks").hidden = !job.messages;
  byId("tasks").replaceChildren(`Attempt ${job.attempts}: `, bar(job.tasks));
  showHints(job.hints);
  byId("followers").textContent = job.followers ? String(job.followers) : "none";
  fill("readers", job.readers.map((one) => reader(one, job.now)));
  byId("count").textContent = job.messages ? String(job.messages) : "none";
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

byId("id").textContent = document.title = id;
for (;;) {
  if (!document.hidden) await ask();
  await new Promise((resolve) => setTimeout(resolve, 2000));
}
