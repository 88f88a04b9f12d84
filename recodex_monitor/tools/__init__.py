"""The commands beside the server: simulate, watch, status and demo.

``jobs`` makes the messages of simulated jobs, ``simulate`` sends them as the broker would,
``watch`` follows a job in the terminal, ``progress`` keeps its state and ``terminal`` draws it.
``status`` asks a running monitor by ``status_client``. ``demo`` shows all on one machine, with
a monitor that ``local_monitor`` runs.

They talk to a monitor by its ports only. They may know ``settings`` and ``status.diagnosis``.
"""
