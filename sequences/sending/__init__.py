"""Send what is due: from leased mailboxes through the permission check to Microsoft, each email at most once."""

from sequences.sending.pace import Pace
from sequences.sending.pump import Pump, Tally

__all__ = ["Pace", "Pump", "Tally"]
