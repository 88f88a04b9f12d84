"""All cases, in the table's order."""

# What defines a case adds it to the table, so the order of these is the order of the groups.
# isort: off
from tests.faults import broker as broker
from tests.faults import peers as peers
from tests.faults import browsers as browsers
from tests.faults import slow_clients as slow_clients
from tests.faults import fuzz as fuzz
from tests.faults import storms as storms
from tests.faults import system as system
from tests.faults import logs as logs
from tests.faults import stop as stop

# isort: on
from tests.faults.table import CASES, Case

__all__ = ["CASES", "Case"]
