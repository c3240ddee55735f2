"""What comes back: read from the mailboxes, told apart, matched to what was sent, and what follows from it."""
