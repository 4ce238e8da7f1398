"""The demo: one drive, three times (device-only, cloud-only, Hedgerow), with real server, relay and device processes.

Rules: what is emulated (the link, the slower device) is said wherever a figure stands; the same frames, link and server
failures for all; the harness keeps the time, from the scheduled capture to the moment the consumer has the answer; where
another strategy wins, the table shows it.
"""
