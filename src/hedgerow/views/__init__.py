"""What people look at: a live terminal view, a timeline picture, a table of results.

Rules: a view runs in another process than the Session it shows (Python threads that draw would delay its timer), is fed by
lines through a pipe that is dropped rather than waited for, decides nothing and measures nothing: lateness in a result
comes from the harness. Whatever was emulated says so wherever it is shown.
"""
