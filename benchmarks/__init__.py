"""The benchmark: what a monitor costs, beside its peers and the bare system calls."""
