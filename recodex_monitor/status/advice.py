"""What to tell the student who follows a job."""

from recodex_monitor.status.diagnosis import QUIET, Broker, Job, span

_RELOAD = "Reload the page to see the results."
_ENDS = {
    "finished": f"Your solution has been evaluated. {_RELOAD}",
    "failed": "The evaluation of your solution has failed. The page of the solution says why; if"
    " that is not your mistake, submit it again, and tell us.",
    "expired": "Nothing was heard of your solution for so long that it was probably lost. Submit it"
    " again.",
}
_GIVEN_UP = (
    "The evaluation of your solution was given up, which need not be your mistake. Look at"
    " the page of the solution, and submit it again later."
)
_AWAY = (
    "The display of progress is disturbed, the evaluation is not. Wait some minutes, then reload"
    " the page to see the results."
)
_QUEUED = "Your solution waits for its turn. Leave the page open: progress appears by itself."
_FAILING = "The evaluation has failed just now. Wait some seconds: it may be tried again by itself."
_RUNNING = (
    "Your solution is being evaluated. If the page shows no progress, reload it; if it still does"
    " not, try another network or browser: the results come in any case."
)
_UNKNOWN = (
    "Reload the page: either the results are there, or the solution still waits for its turn."
)


def advice(job: Job, broker: Broker) -> str:
    """A sentence or two for the student, by what the monitor knows."""
    if (job.forgotten.end if job.forgotten else job.end) == "failed":
        return _GIVEN_UP
    how = job.outcome or job.end or (job.forgotten.outcome if job.forgotten else None)
    if how is not None:
        return _ENDS[how]
    if not broker.peers:
        return _AWAY
    if job.failed_ago is not None:
        return _FAILING
    if not job.messages:
        return _QUEUED if job.followers else _UNKNOWN
    if (job.last_ago or 0) >= QUIET:
        silent = span(job.last_ago or 0)
        return (
            f"Your solution is being evaluated; its present task has taken {silent}. Please wait."
        )
    return _RUNNING
