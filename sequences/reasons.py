"""Why a sequence is paused, an enrollment held or stopped, a message refused: per reason, what it means and what next.

The reasons are stable: rows, pages and tests name them.
"""

PAUSED: dict[str, tuple[str, str]] = {
    "mailbox_removed": (
        "The mailbox that this sequence sends from was removed.",
        "Connect it again, or choose another mailbox; then resume.",
    ),
    "mailbox_reconnect": (
        "The mailbox that this sequence sends from needs reconnecting.",
        "Its owner reconnects it under Sequences settings; then resume.",
    ),
    "owner_left": (
        "The owner of the mailbox that this sequence sends from was deactivated.",
        "Choose another mailbox, then resume.",
    ),
    "grantee_left": (
        "The person who ran this sequence was deactivated.",
        "An admin can hand it to someone who may send from its mailbox.",
    ),
    "grant_revoked": (
        "The permission to send from this mailbox was revoked.",
        "Ask its owner again, or choose another mailbox; then resume.",
    ),
    "grant_expired": (
        "The permission to send from this mailbox has expired.",
        "Ask its owner again, or choose another mailbox; then resume.",
    ),
    "no_permission": (
        "There is no permission to send from this mailbox.",
        "Ask its owner, or choose another mailbox; then resume.",
    ),
    "grant_scope": (
        "The permission to send from this mailbox is for another sequence only.",
        "Ask its owner to allow this one too, or choose another mailbox; then resume.",
    ),
    "first_email_declined": (
        "The mailbox's owner declined the first email.",
        "Speak with the owner and change the email; then resume.",
    ),
    "policy": (
        "Your organization no longer allows this kind of permission.",
        "Ask the mailbox's owner for a permission that the policy allows; then resume.",
    ),
    "handed_over": (
        "This sequence was handed to you.",
        "Look it over, then resume.",
    ),
}

# Of these, where the mailbox's owner can give the permission again.
TO_ASK = frozenset({"grant_revoked", "grant_expired", "no_permission", "grant_scope", "policy"})

# Why an email was refused at the moment of sending, where that is not the reason of the pause itself.
REFUSED: dict[str, tuple[str, str]] = {
    "not_connected": ("The mailbox was not connected.", "It leaves once the sequence goes on."),
    "owner_inactive": ("The mailbox's owner was deactivated.", "It leaves once the sequence goes on."),
    "initiator_inactive": ("Who ran the sequence was deactivated.", "It leaves once the sequence goes on."),
}

HELD: dict[str, tuple[str, str]] = {
    "missing_value": (
        "A token in the next email has no value for this candidate, and no default.",
        "Fill it in for the candidate, or give the token a default; then continue.",
    ),
    "template_broken": (
        "The text of the next step cannot be read.",
        "Open the step and correct what the editor marks; then continue.",
    ),
    "outcome_unknown": (
        "Microsoft did not say whether the last email left, and it cannot be found out.",
        "Look into the mailbox's Sent Items, then say whether it was sent.",
    ),
    "message_failed": (
        "Microsoft refused the last email.",
        "See the message for the reason, then try again or stop.",
    ),
    "thread_lost": (
        "The email that this step would answer is not in the Sent Items of the mailbox that sends this one.",
        "Make the step a new thread, or stop this candidate.",
    ),
    "window_never_open": (
        "The sending window does not open within a year.",
        "Choose more days or hours: under Dry run, “When emails may leave”. Then continue.",
    ),
}

STOPPED: dict[str, tuple[str, str]] = {
    "unenrolled": ("A colleague took this candidate out.", "Enroll the candidate again to write to them."),
    "suppressed": ("This address asked not to be written to, or bounced.", "Nothing more is sent to it."),
    "erased": ("The candidate’s personal data was erased.", "Nothing more is sent."),
    "replied": ("The candidate replied.", "Go on with them in your mailbox."),
    "colleague_replied": ("A colleague of the candidate replied.", "Go on with them in your mailbox."),
    "bounced": ("The address does not exist or refuses mail.", "Correct the candidate's address to write again."),
    "recipient_refused": ("Microsoft refused the candidate's address.", "Correct the candidate's address."),
}

# Why an email ended as it did, or what was found out about it. Refusals of the permission are told as in PAUSED.
MESSAGE: dict[str, tuple[str, str]] = {
    "recipients_changed": (
        "The draft’s recipients were changed in the mailbox, so it was not sent.",
        "Look at the draft there, then try again or stop.",
    ),
    "left_otherwise": (
        "It left without us: its draft was sent by hand from the mailbox.",
        "The candidate goes on with the next step.",
    ),
    "found_by_hand": ("A colleague found it in Sent Items.", "The candidate goes on with the next step."),
    "not_there": ("A colleague looked, and it was not in Sent Items.", "It is sent again."),
    "redrafted": ("Its first draft could not be found, so another was made.", "There is nothing to do."),
    "disarmed": (
        "It seems not to have left. Its draft, if it is still there, has no recipients any more.",
        "If no copy turns up in Sent Items, a new draft is sent by itself, or you are asked what to do.",
    ),
    "resubmitted": ("It was surely not sent the first time.", "Another draft was made; there is nothing to do."),
    "disarmed_again": (
        "It seems not to have left a second time. Its draft, if it is still there, has no recipients any more.",
        "If no copy turns up in Sent Items, you will be asked what to do.",
    ),
    "ErrorInvalidRecipients": ("Microsoft refused the candidate’s address.", "Correct the candidate’s address."),
    "broken": ("There was a fault on our side.", "Try again; if it fails again, tell your operator."),
}

# Why an email that is due waits; it goes on by itself.
WAITING: dict[str, str] = {
    "away": "The mailbox's owner is away: automatic replies are on.",
    "window": "The sending window is closed.",
    "daily_limit": "The mailbox has reached its daily limit.",
    "spacing": "The mailbox keeps a distance between two emails.",
    "throttled": "Microsoft asks this mailbox to slow down.",
    "mailbox_unwell": "The mailbox has failed several times in a row, so we give it a rest.",
    "microsoft_unavailable": "Microsoft cannot be reached or is unwell.",
    "tenant_limit": "Your company's Microsoft 365 has reached its own limit for mail to outsiders.",
    "submission_blocked": "Microsoft has blocked sending from this mailbox; its owner's Inbox or IT says why.",
    "mailbox_full": "The mailbox is full. Its owner needs to make room.",
    "access_denied": "Microsoft does not let us into this mailbox. Its owner or IT can allow it again.",
    "no_mailbox_now": "Microsoft says that this account has no mailbox at the moment.",
    "operator": "There is a setup problem on our side; the operator has been told.",
    "grant_cap": "The permission's daily cap is reached.",
    "awaiting_approval": "The mailbox's owner has not approved the first email yet.",
}

# Why emails that are due do not leave, where that is nobody's rule: the site's staff are told.
OVERDUE: dict[str, str] = {
    "no_worker": "No worker is running: start `manage.py worker`.",
    "unexplained": "A worker is running, but these emails do not leave; its log says why.",
}

# What follows from an email that came in, by its kind.
ANSWERED: dict[str, str] = {
    "reply": "Nothing more is sent to this candidate automatically.",
    "auto_reply": "The next email waits until the candidate is back.",
    "bounce": "The address is no longer written to.",
    "opt_out": "The address is no longer written to, in any sequence.",
    "other": "Nothing follows from it.",
}

# What a person may make of it instead, and how the button is called.
CORRECTIONS: dict[str, list[tuple[str, str]]] = {
    "reply": [("auto_reply", "It is automatic"), ("opt_out", "It is an opt-out"), ("other", "It is no answer")],
    "auto_reply": [("reply", "This is a real reply"), ("opt_out", "It is an opt-out")],
    "bounce": [("other", "The email arrived"), ("reply", "This is a real reply")],
    "opt_out": [("reply", "Not an opt-out")],
    "other": [("reply", "This is a real reply"), ("opt_out", "It is an opt-out")],
}
