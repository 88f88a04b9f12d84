"""Tests of the doctor, without a monitor, a proxy or a network."""
