"""What goes over the pipes between the server and the scanner's process.

The scanner is sent its task as JSON behind its length. It then asks for bytes (`READ`: file, offset, length) as often
as it needs to, each answered by a length and the bytes, and at last sends its report as JSON (`REPORT`: length).
"""

import struct
from enum import IntEnum

# What the scanner sends begins with this: which request, file, offset (of a report: nothing), length.
HEADER = struct.Struct("<BIQI")
LENGTH = struct.Struct("<I")
LONGEST_READ = 1 << 20
LONGEST_ANSWER = 8 << 20
# The length in front of an answer that is no bytes: they could not be read.
REFUSED = 0xFFFFFFFF


class Request(IntEnum):
    """What the scanner wants."""

    READ = 1
    REPORT = 2
