"""Connected mailboxes, the permission to send from them, and the one door out to Microsoft."""
