"""The benchmark: what the monitor costs, compared with others and with bare system calls."""
