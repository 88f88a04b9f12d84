"""What administrators see: the private listener with its page, its JSON and its metrics.

``inspection`` describes the monitor, the list of its ``jobs`` and each one with its ``timeline``.
What is wrong is said in ``hint``s: of a job and the broker by ``diagnosis``, of the whole by
``problems``, ``refusals`` and ``cluster``; ``advice`` is for the student.
``statistics`` has totals and their charts, ``tally`` counts tasks. ``metrics`` gives the numbers to
Prometheus, in the formats of ``exposition``. ``access`` decides who may look, ``sign_in`` asks all
others for the token. ``site`` answers requests by its ``resources``, ``service`` listens.

It promises to change nothing and to cost little. It may know everything below it, and of
``broker`` and ``clients`` only what describes their state.
"""
