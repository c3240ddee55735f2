"""Organizations, their people, invitations, notifications and the audit trail."""
