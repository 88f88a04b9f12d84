"""All cases, in the table's order."""

# A module adds its cases to the table when it is imported, so this order is the table's.
# isort: off
from tests.faults import broker as broker
from tests.faults import peers as peers
from tests.faults import unplugged as unplugged
from tests.faults import browsers as browsers
from tests.faults import slow_clients as slow_clients
from tests.faults import fuzz as fuzz
from tests.faults import wrong_protocols as wrong_protocols
from tests.faults import conformance as conformance
from tests.faults import storms as storms
from tests.faults import system as system
from tests.faults import logs as logs
from tests.faults import stop as stop
from tests.faults import restarts as restarts
from tests.faults import cluster_engine as cluster_engine
from tests.faults import cluster_nodes as cluster_nodes
from tests.faults import cluster_network as cluster_network
from tests.faults import cluster_soak as cluster_soak

# isort: on
from tests.faults.table import CASES, Case

__all__ = ["CASES", "Case"]
