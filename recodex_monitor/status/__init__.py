"""What administrators see: the private listener with its page, its JSON and its metrics.

``inspection`` describes the monitor, its channels and its clients, ``tally`` counts tasks.
``diagnosis`` says in words what is going on with a job. ``metrics`` gives the numbers to
Prometheus. ``access`` decides who may look. ``site`` answers requests with these and the files of
``pages``, ``service`` listens.
"""
