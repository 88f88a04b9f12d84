/** Tasks of the job's current attempt that are done, by their states. */
export interface Counts {
  completed: number;
  failed: number;
  skipped: number;
  /** Of the attempt, from 1. */
  attempt: number;
}

/** A message of the job; see docs/protocol.md. There may be others than these. */
export interface Message {
  command: "DOWNLOADED" | "STARTED" | "TASK" | "ENDED" | "UPLOADED" | "FAILED" | "ABORTED" | "FINISHED" | (string & {});
  task_id?: string;
  task_state?: "COMPLETED" | "FAILED" | "SKIPPED" | (string & {});
  /** Missing with a monitor that sends no ids. */
  id?: string;
}

export type Reason = "finished" | "failed" | "expired" | "refused";
export type Outcome = Reason;

export interface State {
  state: "connecting" | "live" | "reconnecting" | "ended";
  transport: "websocket" | "events" | "poll";
  /** Whether the monitor has contact with the evaluation; undefined if it does not tell. */
  broker?: boolean;
  /** When it becomes live: seconds since the last message, null without one. */
  age?: number | null;
  /** When it becomes live: how the job went of a channel that ended and is no longer kept. */
  forgotten?: Exclude<Outcome, "refused">;
  /** The monitor has lost its messages: it sends all that it has now, and counts start again. */
  restarted?: true;
  /** When it ended. */
  reason?: Reason;
  outcome?: Outcome;
}

export interface End {
  reason: Reason;
  /** "failed" if the job's last attempt failed, else as the reason. */
  outcome: Outcome;
}

export interface JobOptions {
  /** The monitor's address, such as wss://HOST/ws. */
  url: string | URL;
  /** The id of the job's channel. */
  channel: string;
  /** Of the follower, where the monitor asks for one: a text, or a function that gets a new one. */
  token?: string | (() => string | Promise<string>) | null;
  /** Called once for each message, in order, with the counts that include it. */
  onMessage?: ((message: Message, counts: Counts) => void) | null;
  onState?: ((state: State) => void) | null;
  /** Called once, last. */
  onEnd?: ((end: End) => void) | null;
}

/** Follows one job to its end, and reconnects whenever that is necessary; returns what stops it. */
export function followJob(options: JobOptions): () => void;

export interface JobsOptions {
  /** The monitor's address, such as wss://HOST/ws. */
  url: string | URL;
  /** The ids of the jobs' channels. */
  channels?: string[];
  /** As for `followJob`. */
  token?: JobOptions["token"];
  onMessage?: ((channel: string, message: Message, counts: Counts) => void) | null;
  onState?: ((channel: string, state: State) => void) | null;
  /** Called once for each channel, last. */
  onEnd?: ((channel: string, end: End) => void) | null;
}

export interface Jobs {
  /** Does nothing if the channel is followed already. */
  follow(channel: string): void;
  /** Does nothing if it is not. */
  unfollow(channel: string): void;
  /** Ends everything. */
  stop(): void;
}

/** Follows many jobs, on one connection for up to 500 of them. */
export function followJobs(options: JobsOptions): Jobs;
