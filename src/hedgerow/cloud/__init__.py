"""The server: Open Inference Protocol and crossings over one port, computed on lanes, earliest deadline first.

Rules: the event loop never computes or decodes; a lane runs one segment at a time and looks between segments whether the
work is still wanted; whatever is refused is refused at once, with a typed fault; every queue and buffer has a maximum."""
