"""Protocols, baselines, transfer, results and reports."""
