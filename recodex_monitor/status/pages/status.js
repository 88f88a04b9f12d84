// The status page: draws what the monitor sends every two seconds.
import { listJobs, showJobs } from "/status-jobs.js";
import { draw, make, number, reveal, showHints, span } from "/status-parts.js";

const CHARTS = [
  ["followers", "followers", ""],
  ["connects", "connects", "/s"],
  ["deliveries", "deliveries", "/s"],
  ["messages", "messages", "/s"],
  ["lag", "loop lag", " ms"],
];
const byId = (id) => document.getElementById(id);
let told = 0;

function brokerFigure({ broker, cluster, now }) {
  if (cluster && cluster.owner === null) return ["away", "no node owns", "bad"];
  if (cluster && cluster.owner !== cluster.node) {
    const owner = cluster.nodes.find(({ name }) => name === cluster.owner) ?? { name: cluster.owner };
    return owner.broker ? ["connected", `to ${owner.name}, which owns`, "good"] : ["away", `from ${owner.name}, which owns`, "bad"];
  }
  const last = broker.last === null ? "no message yet" : `last message ${span(now - broker.last)} ago`;
  return broker.connected
    ? ["connected", `for ${span(now - broker.since)}, ${last}`, "good"]
    : ["away", broker.gone === null ? "has never connected" : `for ${span(now - broker.gone)}, ${last}`, "bad"];
}

function figures({ broker, cluster, followers, slow, channels, connections, memory, open_files, uptime, settings, now, history_bytes }) {
  return [
    ["Broker", ...brokerFigure({ broker, cluster, now })],
    ["Followers", number(followers), `${number(slow)} slow, ${number(connections)} ${connections === 1 ? "connection" : "connections"}`],
    ["Running", number(channels.running), `${number(channels.failing)} failing, ${number(channels.waiting)} waiting, ${number(channels.ended)} ended`],
    ["Memory", `${Math.round(memory / 2 ** 20)} MB`, `${(history_bytes / 2 ** 20).toFixed(1)} MB of history, ${number(open_files)} open files`],
    ["Up", span(uptime), `version ${settings.version}`],
  ].map(([name, value, more, mood]) =>
    make("div", { className: `figure ${mood ?? ""}` }, make("h2", {}, name), make("p", { className: "value" }, value), make("p", { className: "quiet" }, more)),
  );
}

function chart([, title, unit], values, every) {
  const most = Math.max(...values, 0);
  const latest = values.at(-1) ?? 0;
  const width = 90;
  const top = most || 1;
  const points = values.map((value, index) => `${width - values.length + index + 1},${30 - (28 * value) / top}`);
  const drawing = draw("svg", { viewBox: `0 0 ${width} 30`, preserveAspectRatio: "none", role: "img", "aria-label": `${title}: now ${latest}${unit}, ${most}${unit} at most` });
  if (points.length) {
    const first = width - values.length + 1;
    drawing.append(draw("polygon", { points: `${first},30 ${points.join(" ")} ${width},30` }));
    drawing.append(draw("polyline", { points: points.join(" "), "vector-effect": "non-scaling-stroke" }));
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

function nodeRow({ name, role, for: since, version, status, followers, pending, unread }, own) {
  const cell = (label, value) => make("td", { className: "number", "data-name": label }, value);
  const named = status && name !== own ? make("a", { href: `//${status}/` }, name) : name;
  return make(
    "tr",
    {},
    make("td", { className: "id" }, named, name === own ? " (this one)" : ""),
    make("td", { className: role === "owner" ? "good" : "" }, role),
    cell("since", span(since)),
    make("td", {}, version),
    cell("followers", number(followers)),
    cell("waiting", number(pending)),
    cell("unread", number(unread)),
  );
}

function showCluster(cluster) {
  byId("cluster").hidden = !cluster;
  if (!cluster) return;
  const { engine, node, nodes } = cluster;
  const up = `${engine.version}, ${(engine.memory / 2 ** 20).toFixed(1)} MB, ${engine.replicas} replicas`;
  byId("engine").textContent = `Engine ${engine.address}: ${engine.up ? up : `away for ${span(engine.away)}`}`;
  byId("engine").className = engine.up ? "quiet" : "bad";
  byId("nodes").tBodies[0].replaceChildren(...nodes.map((one) => nodeRow(one, node)));
}

function list(id, counts) {
  const items = Object.entries(counts).filter(([, count]) => count);
  const entries = items.flatMap(([name, count]) => [make("dt", {}, name), make("dd", {}, number(count))]);
  byId(id).replaceChildren(entries.length ? make("dl", {}, ...entries) : make("p", { className: "quiet" }, "none"));
}

function show(status) {
  if (String(getSelection())) return;
  showHints(status.hints);
  byId("fine").hidden = status.hints.length > 0;
  byId("figures").replaceChildren(...figures(status));
  byId("charts").replaceChildren(...CHARTS.map((one) => chart(one, status.charts[one[0]], status.every)));
  list("ends", status.outcomes);
  for (const id of ["dropped", "limits", "commands"]) list(id, status[id]);
  list("origins", Object.fromEntries(status.refused_origins.map(({ origin, count }) => [origin, count])));
  showCluster(status.cluster);
  byId("settings").textContent = JSON.stringify(status.settings, null, 2);
}

let events;
let now = 0;

function connect(query) {
  events?.close();
  events = new EventSource(`/api/events?${query}`);
  events.onmessage = ({ data }) => {
    told = Date.now();
    const { status, jobs } = JSON.parse(data);
    if (status) {
      now = status.now;
      show(status);
    } else showJobs(jobs, now);
  };
  events.onerror = () => {
    // A browser does not try again after an answer that is no stream: the token has changed, or the
    // page's address asks for what does not exist, which must not be asked for again and again.
    if (events.readyState === EventSource.CLOSED) location.replace("/");
  };
}

reveal();
byId("age").textContent = "connecting…";
listJobs(connect);
setInterval(() => {
  const old = told && Date.now() - told > 5000;
  byId("age").textContent = !told ? "connecting…" : old ? `no news for ${span((Date.now() - told) / 1000)}` : "live";
  byId("age").className = old ? "bad" : told ? "good" : "";
}, 500);
