"""The command line: one file per verb; `main.py` only collects them and turns errors into exit codes."""
