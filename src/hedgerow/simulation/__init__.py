"""The virtual world: a virtual clock and a modelled device, link and cloud around the very same `Core` that runs live.

A second shell beside `device/`: it carries out the core's actions and posts the same events, and never decides where to run
something. Everything random is drawn from (seed, name, index) and never from what a policy did, so that every policy, the
device-only twin and the clairvoyants meet the same world.
"""
