// The status page: what the monitor tells every other second, drawn.
import { bar, draw, make, number, showHints, span, state } from "/status-parts.js";

const CHARTS = [
  ["followers", "followers", ""],
  ["connects", "connects", "/s"],
  ["deliveries", "deliveries", "/s"],
  ["messages", "messages", "/s"],
  ["lag", "loop lag", " ms"],
];
const byId = (id) => document.getElementById(id);
let told = 0;

function figures({ broker, followers, slow, channels, connections, memory, open_files, uptime, settings, now, history_bytes }) {
  const last = broker.last === null ? "no message yet" : `last message ${span(now - broker.last)} ago`;
  const link = broker.connected
    ? ["connected", `for ${span(now - broker.since)}, ${last}`, "good"]
    : ["away", broker.gone === null ? "has never connected" : `for ${span(now - broker.gone)}, ${last}`, "bad"];
  return [
    ["Broker", ...link],
    ["Followers", number(followers), `${slow} slow, ${number(connections)} connections`],
    ["Running", number(channels.running), `${channels.failing} failing, ${channels.waiting} waiting, ${number(channels.ended)} ended`],
    ["Memory", `${Math.round(memory / 2 ** 20)} MB`, `${(history_bytes / 2 ** 20).toFixed(1)} MB of history, ${number(open_files)} open files`],
    ["Up", span(uptime), `version ${settings.version}`],
  ].map(([name, value, more, mood]) =>
    make("div", { className: `figure ${mood ?? ""}` }, make("h2", {}, name), make("p", { className: "value" }, value), make("p", { className: "quiet" }, more)),
  );
}

function chart([name, title, unit], values, every) {
  const most = Math.max(...values, 0);
  const latest = values.at(-1) ?? 0;
  const width = 90;
  const top = most || 1;
  const points = values.map((value, index) => `${width - values.length + index + 1},${30 - (28 * value) / top}`);
  const drawing = draw("svg", { viewBox: `0 0 ${width} 30`, preserveAspectRatio: "none", role: "img", "aria-label": `${title}: now ${latest}${unit}, ${most}${unit} at most` });
  if (points.length) {
    const first = width - values.length + 1;
    drawing.append(draw("polygon", { points: `${first},30 ${points.join(" ")} ${width},30` }));
    drawing.append(draw("polyline", { points: points.join(" ") }));
  }
  const minutes = Math.round((width * every) / 60);
  return make(
    "figure",
    {},
    make("figcaption", {}, title, make("b", {}, `${number(latest)}${unit}`)),
    drawing,
    make("p", { className: "quiet axis" }, make("span", {}, `−${minutes} min`), make("span", {}, `max ${number(most)}${unit}`)),
  );
}

function row({ id, state: name, tasks, attempts, followers, began, last, messages }, now) {
  const link = make("a", { href: `/channels/${encodeURIComponent(id)}`, title: id }, id);
  const cells = [
    make("td", { className: "id" }, link),
    make("td", {}, state(name)),
    make("td", {}, bar(tasks)),
    make("td", { className: "number", "data-name": "attempt" }, String(attempts)),
    make("td", { className: "number", "data-name": "followers" }, String(followers)),
    make("td", { className: "number", "data-name": "age" }, span(now - began)),
    make("td", { className: "number", "data-name": "last" }, last === null ? "before restart" : span(now - last)),
  ];
  return make("tr", { title: `${messages} messages` }, ...cells);
}

function list(id, counts) {
  const items = Object.entries(counts).filter(([, count]) => count);
  const entries = items.flatMap(([name, count]) => [make("dt", {}, name), make("dd", {}, number(count))]);
  byId(id).replaceChildren(...(entries.length ? entries : [make("dt", { className: "quiet" }, "none")]));
}

function show({ status, channels }) {
  // What somebody reads or selects must not be taken away under their hands.
  if (String(getSelection()) || document.activeElement?.closest("tbody")) return;
  showHints(status.hints);
  byId("figures").replaceChildren(...figures(status));
  byId("charts").replaceChildren(...CHARTS.map((one) => chart(one, status.charts[one[0]], status.every)));
  for (const id of ["ends", "dropped", "limits", "commands"]) list(id, status[id]);
  byId("jobs").hidden = !channels.length;
  byId("none").hidden = channels.length > 0;
  byId("jobs").tBodies[0].replaceChildren(...channels.map((one) => row(one, status.now)));
  byId("settings").textContent = JSON.stringify(status.settings, null, 2);
}

const events = new EventSource("/api/events");
events.onmessage = ({ data }) => {
  told = Date.now();
  show(JSON.parse(data));
};
events.onerror = () => {
  // A browser does not try again after an answer that is no stream: the token has changed.
  if (events.readyState === EventSource.CLOSED) location.reload();
};
setInterval(() => {
  const old = told && Date.now() - told > 5000;
  byId("age").textContent = !told ? "connecting…" : old ? `no news for ${span((Date.now() - told) / 1000)}` : "live";
  byId("age").className = old ? "bad" : told ? "good" : "";
}, 500);

byId("find").addEventListener("submit", (event) => {
  event.preventDefault();
  const id = byId("job").value.trim();
  if (id) location.href = `/channels/${encodeURIComponent(id)}`;
});
