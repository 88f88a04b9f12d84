/**
 * What the messages of a job say of it: its steps, tests, attempts and verdict. No drawing, no texts.
 */

const STEPS = ["DOWNLOADED", "STARTED", "ENDED", "UPLOADED"];
const RUNNING = {
  __proto__: null, // commands may have any name, such as "constructor"
  DOWNLOADED: "downloaded",
  STARTED: "running",
  TASK: "running",
  ENDED: "evaluated",
  UPLOADED: "uploaded",
  ABORTED: "interrupted",
};
/** The states of a task that are counted. */
export const STATES = ["completed", "failed", "skipped"];

const none = (attempt) => ({ completed: 0, failed: 0, skipped: 0, attempt });

/** A list of tasks and of the tests that they belong to: "test_01.run" belongs to "test_01". */
class Tasks {
  units = new Map(); // tests, and tasks of none, by name: { name, tasks, state }
  hasTests = false;
  fresh = new Set(); // units that are new or have changed, for who draws them

  add(id, state) {
    const name = /^(.+)\.[^.]+$/s.exec(id)?.[1] ?? id;
    const key = name === id ? `task ${id} ${this.units.size}` : `test ${name}`; // ids may repeat
    const unit = this.units.get(key) ?? { name, tasks: [], state, isTest: name !== id };
    this.units.set(key, unit);
    unit.tasks.push({ id, state });
    if (unit.tasks.length > 1) this.hasTests = true; // until then a dot may mean anything
    unit.state = worst(unit.tasks);
    this.fresh.add(unit);
  }

  /** How many there are of each state. */
  tally(units = this.units.values()) {
    const counts = { all: 0, completed: 0, failed: 0, skipped: 0 };
    for (const { state } of units) {
      counts.all++;
      if (state in counts) counts[state]++;
    }
    return counts;
  }
}

function worst(tasks) {
  const rank = (state) => ["completed", "other", "skipped", "failed"].indexOf(state);
  return tasks.map(({ state }) => state).reduce((one, other) => (rank(other) > rank(one) ? other : one));
}

export class Job {
  tasks = new Tasks();
  past = []; // earlier attempts: { why, counts, tasks }
  counts = none(1);
  reached = 0; // how many of STEPS are done
  last = null; // the last command that tells the state
  failed = false;
  latest = ""; // the id of the last task
  end = null; // { reason, outcome }, once it is over
  forgotten; // how a job went of which the monitor knows nothing else

  /** The number of tasks that are done in this attempt. */
  get done() {
    return this.counts.completed + this.counts.failed + this.counts.skipped;
  }

  /** Attempts that have begun. */
  get attempts() {
    return this.past.filter(({ why }) => why !== "before-restart").length + (this.reached ? 1 : 0);
  }

  take({ command, task_id: id = "", task_state: state = "" }, counts) {
    const again = counts.attempt > this.counts.attempt;
    if (again) this.#setAside(this.failed ? "attempt-failed" : "attempt-interrupted");
    this.counts = counts;
    if (this.#isLate(command, again)) return;
    if (command === "FAILED") this.failed = true;
    else if (command === "DOWNLOADED" || command === "STARTED") this.failed = false;
    if (command in RUNNING) this.last = command;
    if (command === "TASK") {
      const known = String(state).toLowerCase();
      this.latest = String(id);
      this.tasks.add(this.latest, STATES.includes(known) ? known : "other");
    }
    // After a failure, later messages do not count as progress.
    const reached = command === "TASK" ? 2 : STEPS.indexOf(command) + 1;
    if (!this.failed) this.reached = Math.max(this.reached, reached);
  }

  // What belongs to an attempt that another has followed, or to one that has failed, may come late.
  #isLate(command, again) {
    if (command === "ABORTED") return !again;
    return command === "TASK" && this.counts.attempt > 1 && this.reached === 1;
  }

  /** The monitor has lost what it had: all that it knows follows. */
  restart() {
    this.#setAside("before-restart");
    this.counts = none(1);
    this.last = null;
  }

  /** It is over, for this reason and with this outcome; see `followJob`. */
  finish({ reason, outcome }) {
    this.end = { reason, outcome };
    if (outcome === "failed" && reason !== "refused") this.failed = true;
  }

  #setAside(why) {
    if (this.reached || this.done) this.past.push({ why, counts: this.counts, tasks: this.tasks });
    this.tasks = new Tasks();
    this.reached = 0;
    this.failed = false;
    this.latest = "";
  }

  /** Whether a step, by its number from 0, is done. The last one is the end. */
  isDone(step) {
    if (step < STEPS.length) return step < this.reached;
    return this.end?.reason === "finished" && !this.failed && !this.forgotten;
  }

  /**
   * What happened, as the key of a text, the values for it, and how good that is: "open" while it
   * goes on, "good", "neutral" or "bad".
   */
  get verdict() {
    const reason = this.end?.reason;
    if (this.forgotten) {
      const failed = this.forgotten === "failed";
      return { key: failed ? "forgotten-failed" : "forgotten", kind: failed ? "bad" : "neutral" };
    }
    if (reason === "refused") return { key: "refused", kind: "bad" };
    if (this.failed || reason === "failed") return { ...this.#failure(reason), kind: "bad" };
    if (reason === "expired") return { key: "expired", kind: "neutral" };
    if (reason) return this.#over();
    return { key: RUNNING[this.last] ?? "waiting", kind: "open" };
  }

  #failure(reason) {
    const n = this.attempts;
    if (n > 1) return { key: "failed-attempts", values: { n } };
    if (reason === "failed" && !n) return { key: "rejected" };
    // A worker that cannot set a job up says FINISHED after FAILED, the broker nothing.
    if (reason === "finished" && n && this.reached < 2) return { key: "build" };
    return { key: "failed" };
  }

  // FINISHED is no sign of success: failed tests do not fail a job.
  #over() {
    const { completed, failed, skipped } = this.counts;
    const ofTests = this.tasks.tally([...this.tasks.units.values()].filter(({ isTest }) => isTest));
    // A task of no test that failed, such as a compilation, is not to be passed over.
    const isOfTests = this.tasks.hasTests && (ofTests.failed > 0 || !failed);
    const counts = isOfTests ? ofTests : { all: this.done, completed, failed, skipped };
    const of = isOfTests ? "" : "tasks-";
    if (!counts.all) return { key: "over", kind: "neutral" };
    const state = counts.failed ? "failed" : counts.skipped ? "skipped" : "completed";
    const kind = state === "completed" ? "good" : "neutral";
    return { key: `over-${of}${state}`, kind, values: { ...counts, n: counts.all } };
  }
}
