"""Why a mailbox was not connected, needs reconnecting or must wait: per reason, a sentence and what to do next.

The reasons are stable: rows, pages and tests name them. Where a sentence comes from an AADSTS code: reference A5.
"""

SENTENCES: dict[str, tuple[str, str]] = {
    # The sign-in itself
    "flow_unknown": (
        "This sign-in was already used, or it did not begin here.",
        "Nothing has changed. Start again with Connect Email.",
    ),
    "flow_expired": (
        "This sign-in took longer than ten minutes, so it no longer counts.",
        "Nothing has changed. Start again with Connect Email.",
    ),
    "too_many_attempts": (
        "You have tried to connect many times within a few minutes.",
        "Wait ten minutes, then try again.",
    ),
    "answer_not_trusted": (
        "Microsoft's answer did not fit the sign-in that began here, so we did not accept it.",
        "Start again with Connect Email. If it happens again, tell your operator.",
    ),
    "microsoft_unavailable": (
        "Microsoft cannot be reached or is unwell at the moment.",
        "Nothing has changed. Try again in a few minutes.",
    ),
    # Which account
    "other_address": (
        "The mailbox you signed in to does not have the e-mail address of your account here.",
        "Connect again and choose the Microsoft account whose mailbox has your own address.",
    ),
    "personal_account": (
        "This is a personal Microsoft account (such as outlook.com or hotmail.com).",
        "Connect again with your work account.",
    ),
    "guest_account": (
        "You are a guest in the Microsoft organization that you signed in to, and guests have no mailbox there.",
        "Connect again with the account of your own company.",
    ),
    "other_tenant": (
        "This account belongs to another Microsoft organization than the one your colleagues' mailboxes are in.",
        "Connect again with the work account of this organization.",
    ),
    "no_mailbox": (
        "This account has no Exchange Online mailbox.",
        "Ask your IT to assign a licence with a mailbox, or connect with an account that has one.",
    ),
    "connected_by_colleague": (
        "A colleague has already connected this mailbox.",
        "Ask your colleague to give you permission to send from it, or to remove it first.",
    ),
    "connected_elsewhere": (
        "This mailbox is already connected in another organization here.",
        "Remove it there first, then connect it again.",
    ),
    "another_connected": (
        "You already have another mailbox connected.",
        "Remove that one first, then connect this one.",
    ),
    # What was granted
    "scope_missing": (
        "Microsoft did not give all the permissions that sending needs.",
        "Connect again and accept all of them, or ask your administrator to approve the app.",
    ),
    "approval_needed": (
        "Microsoft ended the sign-in early. Most companies let only an administrator approve an app like this one.",
        "If Microsoft spoke of an administrator or of approval, ask your IT to approve the app. "
        "If you closed the window by mistake, connect again.",
    ),
    "approval_requested": (
        "Your request is with your administrators at Microsoft.",
        "Connect again once they have approved it.",
    ),
    "consent_missing": (
        "Microsoft no longer has, or was not given, the permission for this app to use your mailbox.",
        "Connect again and accept the permissions.",
    ),
    "conditional_access": (
        "An access policy of your company blocked the sign-in.",
        "Ask your IT to allow this app, or connect again from a device and network that the policy allows.",
    ),
    "security_check": (
        "Your company asks for a further security check.",
        "Connect again and complete the check in Microsoft's window.",
    ),
    "not_assigned": (
        "Your company lets only assigned people use this app, and you are not assigned to it.",
        "Ask your IT to assign you to the app, then connect again.",
    ),
    "app_disabled": (
        "An administrator of your company has disabled this app.",
        "Ask your IT to enable it, then connect again.",
    ),
    "account_disabled": (
        "Microsoft says that this account is disabled or gone.",
        "Ask your IT about the account, then connect again.",
    ),
    # Why a connection ended
    "connection_expired": (
        "The connection expired because it was not used for a long time.",
        "Connect again: it takes one sign-in.",
    ),
    "sign_in_frequency": (
        "Your company asks for a fresh sign-in from time to time.",
        "Connect again: it takes one sign-in.",
    ),
    "access_revoked": (
        "Access to the mailbox was revoked, for example because an administrator ended all sessions.",
        "Connect again: it takes one sign-in.",
    ),
    "sign_in_again": (
        "Microsoft asks you to sign in again.",
        "Connect again: it takes one sign-in.",
    ),
    # Ours to mend: the owner is never blamed
    **dict.fromkeys(
        (
            "secret_wrong",
            "secret_expired",
            "credential_refused",
            "app_unknown",
            "app_single_tenant",
            "permission_unregistered",
            "redirect_uri_unregistered",
            "request_refused",
            "tokens_unreadable",
        ),
        (
            "There is a setup problem on our side. It has nothing to do with your account.",
            "Our operator has been told. Try again later; your mailbox and your sequences stay as they are.",
        ),
    ),
}

# What an operator should do about each of ours; `check_microsoft` and the alarm say it.
OPERATOR: dict[str, str] = {
    "secret_wrong": "MICROSOFT_CLIENT_SECRET is wrong (AADSTS7000215). Set the secret's value, not its id.",
    "secret_expired": "The client secret has expired (AADSTS7000222). Make a new one in Entra, set it, and restart.",
    "credential_refused": "Microsoft refuses our credential. Check MICROSOFT_CLIENT_SECRET or MICROSOFT_CERTIFICATE.",
    "app_unknown": "Microsoft does not know the app (AADSTS700016). Check MICROSOFT_CLIENT_ID and MICROSOFT_CLOUD.",
    "app_single_tenant": "The app is registered for one tenant (AADSTS50194). Make it multi-tenant.",
    "permission_unregistered": "The app lacks permissions (AADSTS90008). `manage.py check_microsoft` lists them.",
    "redirect_uri_unregistered": "The redirect address is not registered. `manage.py check_microsoft` prints it.",
    "request_refused": "Microsoft refuses our request as malformed: this needs a change of the program.",
    "tokens_unreadable": "Stored tokens cannot be read. Is a key missing from FERNET_KEYS?",
}


def sentence(reason: str) -> str:
    return SENTENCES[reason][0]


def next_step(reason: str) -> str:
    return SENTENCES[reason][1]
