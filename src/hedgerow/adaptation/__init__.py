"""Makes a model easier to place: int8 copies, early exits, bottlenecks, and the calibration of when their answers may stand.

Rules: what is made runs without PyTorch and is a task file away from any session; training needs the extra `adapt` and is
confined to the files named `training_*.py`; a threshold is calibrated on samples that nothing was trained on, and judged on a
third part; nothing is overwritten, everything records what it was made from; the same seed makes the same bytes on the same
machine.
"""
