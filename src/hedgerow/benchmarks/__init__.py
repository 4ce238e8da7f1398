"""What Hedgerow itself costs, measured on this machine: the decision, and everything around bare inference.

Figures of one run are compared with each other only: whatever is a ratio was measured side by side, by turns.
"""
