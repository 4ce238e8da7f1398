"""The guard: a small process between the session and its consumers that answers when everything else hangs.

Modules here import the standard library and hedgerow.errors alone, and the guard's own process only `memory`, `frames`,
`process`; docs/decisions/0006-the-guard.md says why and what it costs.
"""
