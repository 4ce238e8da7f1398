"""Things that pretend, on this machine, with real clocks and sockets: an emulated link and an emulated slower device.

Kept apart from `simulation` (virtual clock, no sockets) and from what ships to a device. Whatever is measured through
this room is labelled as emulated. Nothing in `core`, `device` or `cloud` imports it.
"""
