"""What of this machine endangers deadlines, told as findings: what was seen, what it puts at risk, what to do about it.

Rules: it changes nothing (what the machine would allow is tried in a process that then ends); what cannot be read here is
told as such and never taken for good; a level is a judgement about deadlines, not about the machine. Times measured here
hold for this moment: an idle machine now says nothing of a busy one tomorrow.
"""

from hedgerow.doctor.examine import examine
from hedgerow.doctor.findings import Finding, Host, Level

__all__ = ["Finding", "Host", "Level", "examine"]
