"""A deadline proven before the vehicle moves: streams and a profile in, a certificate or the smallest counterexample out.

Read in this order: streams (what is declared), document (the file), inputs (bounds from a profile), demand (the test), proving
(the claims), checker (the same again by other code), certificate_file (what the run time takes), counterexample and mending (what to do
where it fails), runner and selftest (how all this is tried).
"""

from hedgerow.assurance.certification.certificate_file import CertificateFile, load

__all__ = ["CertificateFile", "load"]
