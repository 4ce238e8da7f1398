"""The virtual world: links, lanes, a cloud and a fleet under a virtual clock, driving the very same core that runs in the car.

No sockets, no threads, no real clock: time is an argument, chance is drawn from named streams of one seed. What has to do
with real sockets is in `emulation`.
"""
