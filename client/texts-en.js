// The page's texts in English: JSON but for this line and the words around it, since the monitor, which
// is no JavaScript, reads them too. A text of several forms has those of Intl.PluralRules for the number
// that "by" names ("n" without one).
export default {
  "title": "Progress of an evaluation",
  "job": "Evaluation",

  "connecting": "Connecting",
  "live": "Live",
  "reconnecting": "Connection lost, trying again",
  "offline": "You are offline",
  "no-contact": "No contact with the evaluation",
  "ended": "Ended",
  "without-websocket": "Live without WebSocket",
  "polling": "Live with polling",
  "news": "Last news {time} ago",
  "news-now": "Last news just now",

  "waiting": "Waiting for the evaluation to begin",
  "waiting-hint": "No news of it so far. If it ended a while ago, this page no longer knows it; its results are in {app}.",
  "downloaded": "The solution is being prepared",
  "running": "The solution is being evaluated",
  "evaluated": "The evaluation is over, its results are being stored",
  "uploaded": "The results are stored",
  "interrupted": "Interrupted, the evaluation starts again",
  "no-contact-hint": "The monitor has lost its connection to the evaluation. Your solution is safe; this page goes on by itself as soon as there is news.",
  "offline-hint": "Your device has no network. The evaluation goes on without you, and this page catches up by itself.",

  "over": "Evaluation over",
  "over-completed": {
    "one": "Evaluation over: its test was completed",
    "other": "Evaluation over: all {n} tests were completed"
  },
  "over-failed": {
    "one": "Evaluation over: its test failed",
    "other": "Evaluation over: {failed} of {n} tests failed"
  },
  "over-skipped": {
    "one": "Evaluation over: its test was skipped",
    "other": "Evaluation over: {skipped} of {n} tests skipped"
  },
  "over-tasks-completed": {
    "one": "Evaluation over: its task was completed",
    "other": "Evaluation over: all {n} tasks were completed"
  },
  "over-tasks-failed": {
    "one": "Evaluation over: its task failed",
    "other": "Evaluation over: {failed} of {n} tasks failed"
  },
  "over-tasks-skipped": {
    "one": "Evaluation over: its task was skipped",
    "other": "Evaluation over: {skipped} of {n} tasks skipped"
  },
  "over-hint": "{app} shows the points, and what each test found.",
  "forgotten": "This evaluation ended",
  "forgotten-hint": "Its results are in {app}.",
  "forgotten-failed": "This evaluation failed",
  "forgotten-failed-hint": "It is over, and this page no longer knows what happened. {app} may tell more.",
  "failed": "The evaluation failed",
  "failed-hint": "It was cut short before its end, most likely not because of your solution. Submit it again; if that fails too, tell your teacher.",
  "failed-attempts": {
    "one": "The evaluation failed after {n} attempt",
    "other": "The evaluation failed after {n} attempts"
  },
  "failed-attempts-hint": "Each time it was cut short, as happens if a solution brings the evaluation down. Check that yours does not use too much memory or time, then submit it again, or tell your teacher.",
  "build": "The evaluation could not be set up",
  "build-hint": "Your solution arrived, but the instructions for testing it cannot be used, so nothing was run. That is most likely a fault of the assignment and not of your code. Tell your teacher.",
  "rejected": "Nobody can evaluate this solution now",
  "rejected-hint": "No machine for this kind of assignment is there, so nothing was run. Your solution is kept. Submit it again later; if that fails too, tell your teacher.",
  "expired": "Nothing has come for a long time",
  "expired-hint": "The evaluation was given up here, and whether it ended is not known. Look for its results in {app}; if there are none, submit the solution again.",
  "refused": "This evaluation cannot be followed",
  "refused-hint": "The address of this page is incomplete, wrong or no longer valid. Open it from {app} again.",

  "results": "Open results in {app}",
  "notify": "Notify me at the end",
  "notify-denied": "This browser does not allow notifications for this page.",

  "step-downloaded": "Received",
  "step-started": "Started",
  "step-ended": "Evaluated",
  "step-uploaded": "Stored",
  "step-finished": "Over",
  "steps": "Steps of the evaluation",
  "bar": "Progress of the evaluation",
  "nothing": "No task is done yet.",
  "nothing-at-all": "No task was done.",
  "done": {
    "one": "{n} task done: {completed} completed, {failed} failed, {skipped} skipped.",
    "other": "{n} tasks done: {completed} completed, {failed} failed, {skipped} skipped."
  },
  "done-of": "{n} of {tasks} tasks done: {completed} completed, {failed} failed, {skipped} skipped.",
  "attempt": "Attempt {n}.",
  "latest": "Latest: {task}",
  "earlier": "Earlier",
  "attempt-failed": "Attempt {attempt}, failed: {completed} completed, {failed} failed, {skipped} skipped",
  "attempt-interrupted": "Attempt {attempt}, interrupted: {completed} completed, {failed} failed, {skipped} skipped",
  "before-restart": "Before the monitor was restarted: {completed} completed, {failed} failed, {skipped} skipped",

  "tests": "Tests",
  "tasks": "Tasks",
  "filter": "What to show",
  "all": "All",
  "completed": "Completed",
  "failed-ones": "Failed",
  "skipped": "Skipped",
  "task-completed": "completed",
  "task-failed": "failed",
  "task-skipped": "skipped",
  "task-other": "done",

  "board": "Evaluations at a glance",
  "board-add": "Ids of evaluations, one a line",
  "board-follow": "Follow",
  "board-empty": "Paste the ids of evaluations, or add them to the address of this page after #.",
  "board-sum": {
    "one": "{n} evaluation: {bad} failed, {neutral} not fully completed, {good} completed, {open} under way, {waiting} waiting",
    "other": "{n} evaluations: {bad} failed, {neutral} not fully completed, {good} completed, {open} under way, {waiting} waiting"
  },
  "board-job": "Evaluation",
  "board-state": "State",
  "board-bar": "Progress",
  "board-remove": "Remove {job}",
  "board-clear": "Remove all that are over",

  "static": "As of now: {completed} tasks completed, {failed} failed, {skipped} skipped.",
  "static-of": "As of now: {n} of {tasks} tasks are done. {completed} completed, {failed} failed, {skipped} skipped.",
  "no-script": "With JavaScript this page would follow the evaluation by itself. Without it, load the page again for news.",
  "reload": "Load again"
};
