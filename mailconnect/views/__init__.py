"""Pages of mailboxes, permissions and receipts."""

from mailconnect.views.mailbox import MemberRequest

__all__ = ["MemberRequest"]
