// The page /watch/CHANNEL around <recodex-progress>: title, icon, and a notification at the end.

import "./progress-element.js";

const COLOURS = { open: "#0a58ca", good: "#1a7f37", neutral: "#6a737d", bad: "#b3261e" };
const SIGNS = { good: "✓ ", bad: "✗ " };

const progress = document.querySelector("recodex-progress");
const icon = document.querySelector("link[rel=icon]");
const notify = document.getElementById("notify");
const wanted = notify.querySelector("input");
let over = false;

progress.token = new URLSearchParams(location.search).get("token");
progress.replaceChildren(); // the state at the beginning, for browsers without JavaScript
progress.addEventListener("recodex-progress", ({ detail }) => {
  const { headline, kind, done, tasks, state } = detail;
  const share = done ? `${tasks === null ? done : `${done}/${tasks}`} · ` : "";
  setTitle(kind === "open" ? share + headline : (SIGNS[kind] ?? "") + headline);
  drawIcon(COLOURS[kind], kind === "open" ? (tasks ? done / tasks : done && 0.5) : 1);
  if (state !== "ended" || over) return;
  over = true;
  notify.hidden = true;
  if (wanted.checked) tell(headline);
});

function setTitle(title) {
  if (document.title !== title) document.title = title;
}

// A ring that fills.
function drawIcon(colour, share) {
  const ring = `<circle cx="16" cy="16" r="12" fill="none" stroke-width="8"`;
  const full = 2 * Math.PI * 12;
  const filled = `stroke="${colour}" stroke-dasharray="${(share * full).toFixed(1)} ${full}" transform="rotate(-90 16 16)"`;
  const image = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">${ring} stroke="#9aa5b1" stroke-opacity=".5"/>${ring} ${filled}/></svg>`;
  const address = `data:image/svg+xml,${encodeURIComponent(image)}`;
  if (icon.href !== address) icon.href = address;
}

function tell(text) {
  try {
    const note = new Notification(text, { body: progress.getAttribute("channel"), tag: location.pathname });
    note.onclick = () => window.focus();
    return note;
  } catch {
    return null; // a phone's browser, which has the name but lets no page do it
  }
}

wanted.addEventListener("change", async () => {
  if (!wanted.checked) return;
  const allowed = (await Notification.requestPermission()) === "granted";
  wanted.checked = allowed;
  document.getElementById("denied").hidden = allowed;
});

wanted.checked = false; // after a reload a browser may keep what was chosen before
notify.hidden = !("Notification" in window && isSecureContext) || /Android/.test(navigator.userAgent);
