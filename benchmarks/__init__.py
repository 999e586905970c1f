"""Measurements: ratios of medians within one run, because machines are shared and noisy."""
