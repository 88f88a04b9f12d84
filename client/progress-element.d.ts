/** What <recodex-progress> shows, as the detail of its event "recodex-progress". */
export interface ProgressDetail {
  headline: string;
  kind: "open" | "good" | "neutral" | "bad";
  /** Tasks that are done, and how many there are; null if that is not known. */
  done: number;
  tasks: number | null;
  state: "connecting" | "live" | "reconnecting" | "ended";
}

/** The element <recodex-progress>. */
export interface ProgressElement extends HTMLElement {
  /** Of the follower, where the monitor asks for one: a text, or a function that gets a new one. */
  token: string | (() => string | Promise<string>) | null;
}

declare global {
  interface HTMLElementTagNameMap {
    "recodex-progress": ProgressElement;
  }
  interface HTMLElementEventMap {
    "recodex-progress": CustomEvent<ProgressDetail>;
  }
}
