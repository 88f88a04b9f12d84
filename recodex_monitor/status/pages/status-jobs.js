// The list of jobs: filtered, searched, sorted and cut into pages by the monitor.
import { bar, make, number, span, state } from "/status-parts.js";

const SORTS = [
  ["urgent", "failures first"],
  ["-began", "newest first"],
  ["began", "oldest first"],
  ["last", "longest silent first"],
  ["-last", "last heard first"],
  ["-followers", "most followers first"],
  ["-messages", "most messages first"],
  ["id", "by id"],
];
const DEFAULTS = { state: "", text: "", sort: "urgent", page: "1" };
const TYPED = 300; // milliseconds after the last key at which a search begins
const byId = (id) => document.getElementById(id);
const query = { ...DEFAULTS };
let found = null;

function row({ id, state: name, tasks, attempts, followers, began, last, messages, end }, now) {
  const link = make("a", { href: `/channels/${encodeURIComponent(id)}`, title: id }, id);
  const cells = [
    make("td", { className: "id" }, link),
    make("td", {}, state(name)),
    make("td", {}, bar(tasks, end !== null)),
    make("td", { className: "number", "data-name": "attempt" }, String(attempts)),
    make("td", { className: "number", "data-name": "followers" }, number(followers)),
    make("td", { className: "number", "data-name": "age" }, span(now - began)),
    make("td", { className: "number", "data-name": "last" }, last !== null ? span(now - last) : messages ? "before restart" : "none"),
  ];
  return make("tr", { title: `${messages} messages` }, ...cells);
}

function chips(counts, choose) {
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
  for (const [name, count] of [["", all], ...Object.entries(counts)]) {
    let chip = byId("states").querySelector(`[data-state="${name}"]`);
    if (!chip) {
      chip = make("button", { type: "button", "data-state": name, className: "chip" }, name ? state(name) : "all", " ", make("b"));
      chip.addEventListener("click", () => choose({ state: name }));
      byId("states").append(chip);
    }
    chip.setAttribute("aria-pressed", String(query.state === name));
    chip.lastChild.textContent = number(count);
    chip.classList.toggle("empty", !count);
  }
}

function showPages({ total, page, pages, per_page: size }) {
  const last = Math.min(total, page * size);
  const most = pages * size;
  const beyond = total > most ? `, of which the first ${most} can be seen: filter or search for the others` : "";
  byId("pager").hidden = pages < 2 && page < 2;
  byId("range").textContent = last > (page - 1) * size ? `${(page - 1) * size + 1} to ${last} of ${total}${beyond}` : `page ${page} of ${pages}`;
  byId("back").disabled = page <= 1;
  byId("next").disabled = page >= pages;
}

let choose = () => undefined;
let wanted = ""; // what was looked for before the list of it came

/** Opens the job that is meant: the only one that is found, or what is remembered of the id. */
function look(text) {
  const { total, channels } = found;
  const links = byId("jobs").getElementsByTagName("a");
  const isPart = total > 1 && !channels.some(({ id }) => id === text);
  if (isPart) links[0]?.focus();
  else location.href = `/channels/${encodeURIComponent(total === 1 ? channels[0].id : text)}`;
}

/** Shows a list that the monitor has sent. */
export function showJobs(jobs, now) {
  found = jobs;
  chips(jobs.counts, (change) => choose(change));
  showPages(jobs);
  // Replace no row while somebody selects text or has the focus in the table.
  if (String(getSelection()) || document.activeElement?.closest("tbody")) return;
  const { channels } = jobs;
  byId("jobs").hidden = !channels.length;
  byId("none").hidden = channels.length > 0;
  byId("none").textContent = query.text || query.state || query.page !== "1" ? "There is no such job. “Look” shows what is remembered of the id." : "None yet.";
  byId("jobs").tBodies[0].replaceChildren(...channels.map((one) => row(one, now)));
  if (wanted) look(wanted);
  wanted = "";
}

function read() {
  const values = new URLSearchParams(location.search);
  for (const key of Object.keys(DEFAULTS)) query[key] = values.get(key) ?? DEFAULTS[key];
  byId("job").value = query.text;
  byId("sort").value = query.sort;
}

function changed() {
  return new URLSearchParams(Object.entries(query).filter(([key, value]) => value !== DEFAULTS[key])).toString();
}

/** Begins with the list that the address names, and connects anew with each change. */
export function listJobs(connect) {
  byId("sort").append(...SORTS.map(([value, text]) => make("option", { value }, text)));
  read();
  choose = (change) => {
    Object.assign(query, { page: "1" }, change);
    found = null;
    wanted = "";
    history.replaceState(null, "", `?${changed()}`);
    connect(changed());
  };
  let typing;
  byId("job").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => choose({ text: byId("job").value.trim() }), TYPED);
  });
  byId("sort").addEventListener("change", () => choose({ sort: byId("sort").value }));
  byId("back").addEventListener("click", () => choose({ page: String(Number(query.page) - 1) }));
  byId("next").addEventListener("click", () => choose({ page: String(Number(query.page) + 1) }));
  byId("find").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = byId("job").value.trim();
    if (!text) return;
    clearTimeout(typing);
    if (query.text !== text) choose({ text });
    if (found) look(text);
    else wanted = text;
  });
  connect(changed());
}
