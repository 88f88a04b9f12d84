/** The style of <recodex-progress>. It follows the page's `color-scheme`, font and text colour. */

export const STYLE = `
:host {
  --page: #f6f7f9;
  --card: #fff;
  --text: #1b2026;
  --quiet: #59636e;
  --line: #d5dae0;
  --completed: #1a7f37;
  --failed: #b3261e;
  --skipped: #626b75;
  --accent: #0a58ca;
  --on-accent: #fff;
  --warn: #8a5a00;

  display: block;
  container-type: inline-size;
  color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif;
}

@supports (color: light-dark(#fff, #000)) {
  :host {
    --page: light-dark(#f6f7f9, #14171b);
    --card: light-dark(#fff, #1d2126);
    --text: light-dark(#1b2026, #e7eaed);
    --quiet: light-dark(#59636e, #a3adb8);
    --line: light-dark(#d5dae0, #3a424b);
    --completed: light-dark(#1a7f37, #3fb950);
    --failed: light-dark(#b3261e, #ff7b72);
    --skipped: light-dark(#626b75, #9aa5b1);
    --accent: light-dark(#0a58ca, #79b0ff);
    --on-accent: light-dark(#fff, #10151c);
    --warn: light-dark(#8a5a00, #e3b341);
  }
}

:host([hidden]), [hidden] { display: none !important; }
* { box-sizing: border-box; }
h2, h3, p, ol, ul { margin: 0; }
ol, ul { padding: 0; list-style: none; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }

.unseen {
  position: absolute;
  width: 1px;
  height: 1px;
  overflow: hidden;
  clip-path: inset(50%);
  white-space: nowrap;
}

/* Each state has a sign, since not everybody can tell the colours apart. Screen readers read the text
   after the slash instead; browsers that do not support that use the line above. */
.completed { color: var(--completed); }
.failed { color: var(--failed); }
.skipped { color: var(--skipped); }
span.completed::before { content: "✓ "; content: "✓ " / ""; }
span.failed::before { content: "✗ "; content: "✗ " / ""; }
span.skipped::before { content: "» "; content: "» " / ""; }

.card {
  padding: 1.25rem;
  border: 1px solid var(--line);
  border-top: 4px solid var(--accent);
  border-radius: 0.6rem;
  background: var(--card);
}
.card.good { border-top-color: var(--completed); }
.card.neutral { border-top-color: var(--quiet); }
.card.bad { border-top-color: var(--failed); }

.line { display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; align-items: baseline; font-size: 0.875rem; color: var(--quiet); }
.connection::before { content: "○ "; content: "○ " / ""; }
.connection.live::before { content: "● "; content: "● " / ""; color: var(--completed); }
.connection.ended::before { content: "■ "; content: "■ " / ""; }
.connection.lost { color: var(--warn); font-weight: 600; }
.connection.lost::before { content: "▲ "; content: "▲ " / ""; }

h2 { margin: 0.35rem 0 0.25rem; font-size: 1.5rem; line-height: 1.25; overflow-wrap: break-word; text-wrap: balance; }
.good h2::before { content: "✓ "; content: "✓ " / ""; color: var(--completed); }
.bad h2::before { content: "✗ "; content: "✗ " / ""; color: var(--failed); }
.hint { max-width: 60ch; }
.results {
  display: inline-block;
  margin-top: 0.75rem;
  padding: 0.5rem 1rem;
  border-radius: 0.4rem;
  background: var(--accent);
  color: var(--on-accent);
  font-weight: 600;
  text-decoration: none;
}
.results:hover { text-decoration: underline; }

.bar {
  display: flex;
  gap: 2px;
  height: 1rem;
  margin: 1.1rem 0 0.5rem;
  overflow: hidden;
  border-radius: 0.5rem;
  background: var(--line);
  forced-color-adjust: none;
}
.bar span { flex: 0 1 0; min-width: 6px; }
.bar span::before { content: none; }
.bar .completed { background: var(--completed); }
.bar .failed { background: repeating-linear-gradient(45deg, var(--failed) 0 6px, var(--card) 6px 9px); }
.bar .skipped { background: radial-gradient(var(--card) 25%, var(--skipped) 30%) 0 0 / 7px 7px; }
.bar .open { flex: 1 0 12%; background: repeating-linear-gradient(90deg, var(--line) 0 8px, var(--page) 8px 16px); }
/* How many tasks follow is known: the rest is plain. */
.bar .open.known { flex-basis: 0; background: none; animation: none; }
/* Given up: what was not done stays open, and is crossed out. */
.bar .open.cut { background: repeating-linear-gradient(-45deg, var(--line) 0 5px, var(--quiet) 5px 7px); animation: none; }

.summary, .latest { font-size: 0.9375rem; color: var(--quiet); }
.latest { min-height: 1.5em; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }

.steps { display: flex; gap: 4px; margin-top: 1rem; font-size: 0.8125rem; color: var(--quiet); }
.steps li { flex: 1; min-width: 0; padding-top: 0.35rem; border-top: 3px solid var(--line); overflow-wrap: anywhere; }
.steps .done { border-color: var(--completed); color: var(--text); }
.steps .done::before { content: "✓ "; content: "✓ " / ""; color: var(--completed); }
.steps .next { border-top-style: dashed; border-color: var(--accent); color: var(--text); font-weight: 600; }
.steps .cut { border-color: var(--failed); color: var(--text); }
.steps .cut::before { content: "✗ "; content: "✗ " / ""; color: var(--failed); }

section { margin-top: 1.5rem; }
h3 { font-size: 1.1rem; line-height: 1.3; }
fieldset { display: flex; flex-wrap: wrap; gap: 0.5rem; margin: 0.6rem 0; padding: 0; border: 0; }
label {
  display: flex;
  gap: 0.4rem;
  align-items: center;
  padding: 0.25rem 0.7rem 0.25rem 0.5rem;
  border: 1px solid var(--line);
  border-radius: 0.4rem;
  background: var(--card);
  font-size: 0.9375rem;
  cursor: pointer;
}
label:has(:checked) { border-color: var(--accent); box-shadow: inset 0 0 0 1px var(--accent); }
input { margin: 0; accent-color: var(--accent); }

/* Keeps long lists fast: the browser does not lay out what is out of sight. */
.list > ol { content-visibility: auto; contain-intrinsic-block-size: auto 220rem; background: var(--card); }
.list:is(.completed, .failed, .skipped) > ol { content-visibility: visible; }
.list.completed > ol > li:not(.completed),
.list.failed > ol > li:not(.failed),
.list.skipped > ol > li:not(.skipped) { display: none; }
.list { border-top: 1px solid var(--line); color: var(--text); }
.list li { border-bottom: 1px solid var(--line); color: var(--text); }
.list li li { border: 0; padding-left: 1.4rem; font-size: 0.9375rem; }
.row { display: flex; gap: 1rem; padding: 0.35rem 0.5rem; }
.row bdi { flex: 1; min-width: 0; overflow-wrap: anywhere; }
.row span { flex: none; }
summary { cursor: pointer; }
summary.row::before { content: "▸"; content: "▸" / ""; margin-right: -0.5rem; color: var(--quiet); }
[open] > summary.row::before { content: "▾"; content: "▾" / ""; }
summary.row::-webkit-details-marker { display: none; }
summary.row { list-style: none; }
.earlier summary { padding: 0.35rem 0; }

@media (prefers-reduced-motion: no-preference) {
  .bar span { transition: flex-grow 0.3s; }
  .bar .open { animation: move 1s linear infinite; }
  @keyframes move { to { background-position-x: 16px; } }
}

@container (width < 28rem) {
  .card { padding: 0.9rem 0.8rem; }
  h2 { font-size: 1.3rem; }
  .steps { font-size: 0.6563rem; }
  .steps li { flex: 1 1 auto; overflow-wrap: normal; }
  .steps li::before { display: block; content: "·"; content: "·" / ""; }
}
`;
