"""Campaigns of faults and attacks on real processes, each judged by rule and repeatable from a seed."""
