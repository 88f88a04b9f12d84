"""The commands beside the server: simulate, watch, status and demo.

``jobs`` makes the messages of simulated jobs, ``simulate`` sends them as the broker would,
``watch`` follows a job in the terminal by ``progress``. ``status`` asks a running monitor.
``demo`` shows all on one machine.
"""
