"""What kind of email came in: by its headers first, by its words where they say nothing. Pure.

Header rules: RFC 3834 (Auto-Submitted), MS-OXCMAIL (classes of Exchange's rules), and what vacation programs write.
`X-Auto-Response-Suppress` is no sign of a machine: it asks others not to answer, and ordinary mail has it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from mailparser_reply import EmailReplyParser

from mailconnect.inbox import Letter
from sequences.models import IncomingMail
from sequences.replies.return_dates import back_after

Kind = IncomingMail.Kind

_OUT_OF_OFFICE = "IPM.NOTE.RULES."
_MACHINE_HEADERS = ("X-Autoreply", "X-Autorespond", "X-Autoresponder", "X-MS-Exchange-Inbox-Rules-Loop")
_MACHINE_PRECEDENCE = {"auto_reply", "bulk", "junk"}
# Begins a subject that a person hardly writes. A person who answers such an email writes "RE:" before it.
_AWAY_SUBJECT = re.compile(
    r"(automatische antwort|automatic reply|auto(matic)?[ -]?(reply|response)|out of (the )?office"
    r"|abwesenheit\w*|nicht im (büro|buero|haus)|abwesend|ooo\b)",
    re.IGNORECASE,
)
_AWAY_WORDS = re.compile(
    r"out of (the )?office|on (annual |parental )?(leave|vacation|holiday)|away (from|until)|limited access|no longer"
    r"|will (be back|return)|back in the office|abwesen|nicht im (büro|buero|haus)|urlaub|wieder (im|erreichbar|zurück)"
    r"|elternzeit|automatisch",
    re.IGNORECASE,
)
_COURTESY = re.compile(
    r"\b(hi|hello|hallo|dear|guten (tag|morgen)|sehr geehrte[rs]?( frau| herr| damen und herren)?|thanks?( you)?"
    r"|(vielen |besten )?danke?|(kind|best|many) regards|regards|best|cheers"
    r"|mit freundlichen gr(ü|ue)(ß|ss)en|(viele|beste|liebe) gr(ü|ue)(ß|ss)e|(f|v|l)g|mfg|please|bitte|kindly"
    r"|sent from my \w+|von meinem \w+ gesendet)\b",
    re.IGNORECASE,
)
_STOP_WORDS = (
    r"(unsubscribe|stop|remove|opt(ing)?[ -]?out)( me)?( now)?",
    r"(remove|delete|take|unsubscribe|opt) (me|my (name|email|e-mail|address|email address|details|data))"
    r"( (from|off|out of)( of)? (your|this|the|all)( \w+)?( list| lists| database| emails| mailings)?)?",
    r"i (want|would like|wish) to (unsubscribe|opt out|be removed)( from (your|this|the) (list|mailing list|emails))?",
    r"(do not|don't|dont|never|stop) (contact|email|e-mail|mail|emailing|contacting|write|writing)( to)?( me)?"
    r"( again| any ?more| any further)?",
    r"no (more|further) (emails?|e-mails?|mails?|messages|contact)",
    r"(ab(be)?stellen|abmelden|abmeldung|austragen|abbestellen|löschen|loeschen|stopp)( sie mich)?",
    r"(melden|tragen|nehmen) sie mich( (aus|von|vom) (ihre[mr]|de[mr]) \w+)?( (ab|aus|raus|heraus))?",
    r"(ich (möchte|will) )?(mich )?abmelden",
    r"(ich (möchte|will) )?keine (weiteren |mehr )?(e-?mails?|nachrichten)( mehr)?( erhalten| bekommen)?",
    r"(kontaktieren sie mich )?(nicht mehr|nie wieder)( kontaktieren| anschreiben| schreiben)?",
    r"(mich )?nicht (mehr|weiter|wieder) (kontaktieren|anschreiben|schreiben)|kein(en)? kontakt mehr",
    r"(löschen|loeschen) sie (mich|meine (daten|adresse|e-?mail-?adresse))( aus (ihrem|ihrer|dem|der) \w+)?",
)
_WISH = "|".join(f"(?:{words})" for words in _STOP_WORDS)
_ONLY_STOP_WORDS = re.compile(rf"(?:{_WISH})(?: (?:and |und |or )?(?:{_WISH}))*", re.IGNORECASE)
_SPEAKS_OF_STOPPING = re.compile(
    r"unsubscribe|opt[ -]?out|remove me|(do not|don't|stop) (contact|email|write)\w*|abmelden|nicht mehr kontaktieren"
    r"|keine weiteren (e-?mails|nachrichten)|meine daten",
    re.IGNORECASE,
)
# More than this is a letter that happens to hold such words: a person reads it.
_LONGEST_WISH = 200
_PARSER = EmailReplyParser(languages=["en", "de"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The kind of an email and, as part of a sentence, what shows it."""

    kind: IncomingMail.Kind
    because: str
    text: str = ""  # the newest part, without quotes
    back_after: date | None = None  # of an automatic reply: the last day that it names


def classify(letter: Letter) -> Verdict:
    """An email that answers one of ours and is no delivery report."""
    if letter.header("Content-Type").lower().startswith("multipart/report"):
        return Verdict(kind=Kind.OTHER, because="it is a receipt, made by a mail program")
    text = newest_part(letter.read_text())
    if because := _sign_of_machine(letter) or _sign_of_absence(letter.subject, text):
        back = back_after(f"{letter.subject}\n{text}", letter.received_at.date())
        return Verdict(kind=Kind.AUTO_REPLY, because=because, text=text, back_after=back)
    if because := _wish_to_stop(letter.subject, text):
        return Verdict(kind=Kind.OPT_OUT, because=because, text=text)
    because = "nothing in it looks automatic"
    if found := _SPEAKS_OF_STOPPING.search(text):
        because += f", but it says “{found[0]}”: is it an opt-out?"
    return Verdict(kind=Kind.REPLY, because=because, text=text)


def newest_part(text: str) -> str:
    """What the person wrote, without the quoted emails below it."""
    return (_PARSER.parse_reply(text.replace("\r\n", "\n")) or "").strip()


def _sign_of_machine(letter: Letter) -> str:
    submitted = letter.header("Auto-Submitted").partition(";")[0].strip().lower()
    if submitted and submitted != "no":
        return f"the header Auto-Submitted is {submitted}"
    if letter.item_class.upper().startswith(_OUT_OF_OFFICE):
        return f"its class is {letter.item_class}"
    for name in _MACHINE_HEADERS:
        if letter.header(name):
            return f"it has the header {name}"
    precedence = letter.header("Precedence").strip().lower()
    return f"the header Precedence is {precedence}" if precedence in _MACHINE_PRECEDENCE else ""


def _sign_of_absence(subject: str, text: str) -> str:
    """A subject alone is a hint: it counts when the text speaks of an absence too."""
    hint = _AWAY_SUBJECT.match(subject.strip())
    word = _AWAY_WORDS.search(text)
    return f"the subject begins with “{hint[0]}” and the text says “{word[0]}”" if hint and word else ""


def _wish_to_stop(subject: str, text: str) -> str:
    """The whole text, courtesies aside, is the wish. In an empty email the subject counts."""
    lines = _bare_lines(text if text else subject)
    for words in _without_names(lines):
        if len(words) <= _LONGEST_WISH and _ONLY_STOP_WORDS.fullmatch(words):
            return f"all that it says is “{words}”"
    return ""


def _bare_lines(text: str) -> list[str]:
    """In lower case, without courtesies and marks, up to the line that only closes the letter."""
    lines: list[str] = []
    for line in text.replace("’", "'").lower().splitlines():
        bare = " ".join(_COURTESY.sub(" ", re.sub(r"[^\w' -]+", " ", line)).split()).strip(" -'")
        if bare:
            lines.append(bare)
        elif line.strip() and lines:
            break
    return lines


def _without_names(lines: list[str]) -> Iterator[str]:
    """The text as it is, and without a short first or last line: the names of who is spoken to and who speaks."""
    for first, last in ((0, 0), (1, 0), (0, 1), (1, 1)):
        dropped = lines[:first] + lines[len(lines) - last :]
        if len(lines) > first + last and all(len(line.split()) <= 3 for line in dropped):
            yield " ".join(lines[first : len(lines) - last])
