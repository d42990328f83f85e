"""What a mail says, before it is text or HTML: one value for both, so that both say the same. Pure.

The order is that of a person who was woken: what happened and how bad, where, since when, by whom, what cloudsync did, what to do.
Every text in a `Letter` is inert already (`phrases.said`); the HTML form escapes it besides.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from cloudsync.model.quick import dataclass
from cloudsync.proof.drift import Severity
from cloudsync.report.headline import DONE, Tone, counted, headline, listed, standing
from cloudsync.report.moments import lasted, moment
from cloudsync.report.news import Item, News, What
from cloudsync.report.news import counted as graded
from cloudsync.report.phrases import happening, names, one_line, said, service, split
from cloudsync.report.story import Deed, Expiring, Made, State, Story, Tracked, Trouble

SUBJECT_MAX = 140
BLOCKS, FULL = 12, 4
"""So many findings are told one by one, and so many of them with everything that is known."""
ROWS = 25
WORKLOADS = 6


@dataclass(frozen=True, slots=True)
class Row:
    """One thing known of a finding. A command is shown as it is typed."""

    label: str
    text: str
    command: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """One thing that happened. `tag`: how bad, or what it is, in one word; `mark`: its state."""

    tag: str
    tone: Tone
    mark: str
    title: str
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an overview: a finding or a target."""

    tag: str
    tone: Tone
    title: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Day:
    """One day of the trend; None where nothing is known."""

    day: str
    open: int | None
    found: int
    exposed: int | None


@dataclass(frozen=True, slots=True)
class Letter:
    """All of one mail."""

    subject: str
    """Without the prefix in brackets."""
    tone: Tone
    lead: tuple[str, ...]
    blocks: tuple[Block, ...]
    more: str
    open: tuple[Line, ...]
    left_out: str
    targets: tuple[Line, ...]
    unchecked: tuple[Row, ...]
    trend: tuple[Day, ...]
    foot: tuple[Row, ...]


def letter(story: Story, news: News) -> Letter:
    """Return what to write about some news of a story."""
    writer = _Writer(story, news)
    shown = news.items[:BLOCKS]
    blocks = [writer.item(one, full=number < FULL) for number, one in enumerate(shown)]
    commands = {row.text for block in blocks for row in block.rows if row.command}
    blocks += [writer.trouble(one, commands) for one in news.troubles]
    blocks += [writer.made(one) for one in news.applied[:BLOCKS]]
    blocks += [writer.ending(one) for one in news.expiring[:BLOCKS]]
    left = len(news.items) - len(shown)
    back = [one for one in story.open if one.deed is Deed.RESTORED]
    overview = [*standing(story), *back, *(one for one in story.findings if one.state is State.ACKNOWLEDGED)]
    return Letter(
        subject=subject(story, news),
        tone=tone(story, news),
        lead=tuple(map(said, writer.lead())),
        blocks=tuple(blocks),
        more=f"and {counted(left, 'more finding')}: cloudsync report shows them all" if left else "",
        open=tuple(writer.line(one) for one in overview[:ROWS]),
        left_out=f"and {len(overview) - ROWS} more: cloudsync report shows them all" if len(overview) > ROWS else "",
        targets=tuple(writer.targets()),
        unchecked=tuple(Row(said(one.what), said(one.why)) for one in story.unchecked[:ROWS]),
        trend=tuple(days(story, 28 if news.digest else 7)),
        foot=tuple(writer.foot()),
    )


# --- the subject -----------------------------------------------------------------------------------------------------


def subject(story: Story, news: News) -> str:
    """Return the story in one line, e.g. `2 critical: ssh open to the internet on 14 db workloads (aws-prod)`."""
    first, asides = _subject(story, news)
    text = one_line(said(first), SUBJECT_MAX)
    for aside in asides:
        longer = f"{text}; {said(aside)}"
        text = longer if len(longer) <= SUBJECT_MAX else text
    return text


def _subject(story: Story, news: News) -> tuple[str, list[str]]:
    still, over = [one for one in news.items if not one.over], [one for one in news.items if one.over]
    bad = [one for one in news.troubles if one.what != "recovered"]
    asides = [one.title or f"{one.target} {one.what}" for one in bad]
    if still:
        worst = still[0]
        back = f", back for the {worst.finding.returns}. time" if worst.what is What.FIGHT else ""
        counts = ", ".join(f"{number} {word}" for number, word in graded(still))
        if over:
            asides.insert(0, _ended(over))
        return f"{counts}: {happening(worst.finding, over=False, verb=False)} ({worst.finding.target}){back}", asides
    if over:
        worst = over[0]
        done = "resolved" if worst.what is What.RESOLVED else "put back"
        counts = ", ".join(f"{number} {word}" for number, word in graded(over))
        return f"{counts} {done}: {happening(worst.finding, over=True)} ({worst.finding.target})", asides
    if bad or news.troubles:
        told = bad or list(news.troubles)
        if told[0].title:
            good = "recovered: " if told[0].what == "recovered" else ""
            return f"{good}{told[0].title}: {_why(told[0])}", [one.title or f"{one.target} {one.what}" for one in told[1:]]
        alike = [one.target for one in told if one.what == told[0].what and not one.title]
        rest = [one.title or f"{one.target} {one.what}" for one in told if one.what != told[0].what or one.title]
        return (
            f"{told[0].what}: {alike[0]}: {_why(told[0])}" if len(alike) == 1 else f"{len(alike)} targets {told[0].what}: {names(alike, 4)}"
        ), rest
    if news.expiring:
        one = news.expiring[0]
        number = len(news.expiring)
        effect = "opens" if one.protects else "cuts"
        return (
            f"{'a rule ends' if number == 1 else f'{number} rules end'} soon: {one.rule} on {moment(one.until)[:10]} ({effect} access)",
            [],
        )
    if news.digest:
        found = sum(one.found for one in days(story, 7))
        said_now = headline(story)
        return f"the week to {moment(story.at)[:10]}: {said_now.text}", [f"{found} new this week", *said_now.asides]
    if news.applied:
        number = sum(len(one.workloads) for one in news.applied)
        return f"applied: {counted(len(news.applied), 'change')} at {counted(number, 'workload')} ({_places(news.applied)})", []
    return f"{headline(story).text} ({story.owner})", list(headline(story).asides)


def _ended(over: list[Item]) -> str:
    """Return how many are no longer there; what was critical is said so."""
    worst = sum(one.finding.severity is Severity.CRITICAL for one in over)
    done = "resolved" if all(one.what is What.RESOLVED for one in over) else "put back or gone"
    if all(one.what is not What.RESOLVED for one in over):
        done = "put back"
    return f"{len(over)} {done}" + (f" ({worst} critical)" if worst else "")


def _why(one: Trouble) -> str:
    """Return the reason without the target's name, which was said before."""
    return one.why.removeprefix(f"{one.target}: ")


def _places(made: tuple[Made, ...]) -> str:
    return names(list(dict.fromkeys(one.target for one in made)), 4)


def tone(story: Story, news: News) -> Tone:
    """Return how loud a mail is: by what stands open of its news, then by its troubles."""
    still = [one.finding.severity for one in news.items if not one.over]
    if any(one in (Severity.CRITICAL, Severity.HIGH) for one in still) or any(one.what in ("failed", "refused") for one in news.troubles):
        return Tone.BAD
    if still or news.expiring or any(one.what == "overdue" for one in news.troubles):
        return Tone.WARN
    if news.items or news.troubles or news.applied:
        return Tone.GOOD
    return headline(story).tone


GRADES = {Severity.CRITICAL: Tone.BAD, Severity.HIGH: Tone.BAD, Severity.MEDIUM: Tone.WARN, Severity.LOW: Tone.WARN}
STANDING = {"in sync": Tone.GOOD, "changed": Tone.GOOD, "refused": Tone.BAD, "failed": Tone.BAD}
AGED = {State.NEW: "new", State.CHANGED: "changed", State.ONGOING: "ongoing", State.ACKNOWLEDGED: "accepted", State.RESOLVED: "resolved"}


@dataclass(frozen=True, slots=True)
class _Writer:
    story: Story
    news: News

    def lead(self) -> Iterator[str]:
        """Yield the first sentences: what the mail is about in numbers, then how all of it stands."""
        still, over = [one for one in self.news.items if not one.over], [one for one in self.news.items if one.over]
        parts: list[str] = []
        if still:
            fresh = any(one.what is not What.ONGOING for one in still)
            parts.append(
                f"{listed(f'{number} {word}' for number, word in graded(still))} {'stand' if len(still) > 1 else 'stands'} open now"
                + ("" if fresh else " and did before")
            )
        back = sum(one.what is not What.RESOLVED for one in over)
        gone = len(over) - back
        if back:
            parts.append(f"{back} {'were' if back > 1 else 'was'} put back by this run")
        if gone:
            parts.append(f"{gone} {'are' if gone > 1 else 'is'} resolved")
        words = {"failed": "could not be read or written", "refused": "is refused", "overdue": "is overdue", "recovered": "is good again"}
        for what, word in words.items():
            parts += [one.title for one in self.news.troubles if one.what == what and one.title]
            found = [one.target for one in self.news.troubles if one.what == what and not one.title]
            if found:
                parts.append(f"{names(found, 4)} {word if len(found) == 1 else word.replace('is ', 'are ', 1)}")
        if self.news.expiring:
            parts.append(
                f"{counted(len(self.news.expiring), 'rule')} of the policy {'end' if len(self.news.expiring) > 1 else 'ends'} soon"
            )
        if parts:
            yield _sentence("; ".join(parts))
        if self.news.digest or not parts:
            yield _sentence(headline(self.story).whole)
        elif len(self.story.open) > len(still) + sum(one.what is not What.RESOLVED for one in over):
            yield f"Open in all: {counted(len(standing(self.story)), 'finding')}, listed below."

    def item(self, one: Item, *, full: bool) -> Block:
        """Return a finding that is news."""
        finding = one.finding
        rows = self._facts(finding, one) if full else self._where(finding)
        mark = finding.state.value if one.what is What.NEW else one.what.value  # told for the first time may be there for long
        if one.over and one.what in (What.NEW, What.CHANGED, What.FIGHT):
            mark += ", put back"
        title = happening(finding, over=one.over)
        return Block(finding.severity.value, Tone.GOOD if one.over else GRADES[finding.severity], mark, said(title), tuple(rows))

    def _where(self, finding: Tracked) -> Iterator[Row]:
        yield Row("where", said(f"{finding.target}: {finding.labels.text()} ({names(finding.workloads, WORKLOADS)})"))

    def _facts(self, finding: Tracked, one: Item) -> Iterator[Row]:
        yield from self._where(finding)
        services, _, more = split(finding)
        if service(services) != services or more:
            yield Row("packets", said(finding.words))
        if finding.natives:
            more_rules = f" (and {len(finding.natives) - 1} more rules)" if len(finding.natives) > 1 else ""
            yield Row("because", said(f"{finding.natives[0]}{more_rules}"))
        yield Row("since", self._since(finding, one))
        if finding.actor is not None:
            by = finding.actor
            how = f", {by.how}" if by.how else ""
            yield Row("by", said(f"{by.who}{how}, {moment(by.at)}"))
        yield Row("cloudsync", said(self._deed(finding, one)))
        yield from self._advice(finding, one)

    def _since(self, finding: Tracked, one: Item) -> str:
        if one.what is What.RESOLVED:
            return f"{moment(finding.first_seen)}, for {lasted(max(0.0, self.story.at - finding.first_seen))}"
        age = self.story.at - finding.first_seen
        text = f"{moment(finding.first_seen)}" + (f", {lasted(age)} ago" if age >= 60 else ", first seen by this run")
        times = f"; it came back {counted(finding.returns, 'time')}" if finding.returns else ""
        return text + times

    def _deed(self, finding: Tracked, one: Item) -> str:
        if one.what is What.RESOLVED:
            return "sees it no longer"
        text = DONE[finding.deed]
        if finding.deed is Deed.RESTORED:
            text += f" at {moment(self.story.at)[11:]}"
        return text + (f": {finding.why}" if finding.why else "")

    def _advice(self, finding: Tracked, one: Item) -> Iterator[Row]:
        if one.what is What.RESOLVED:
            yield Row("you", "nothing to do")
            return
        text = finding.advice
        if not text:
            who = "ask them why" if finding.actor else "find out who opened it"
            text = f"nothing to do now; {who}" if one.over else "close it on the platform, or write it into the policy"
        yield Row("you", said(text))
        approve = next((each.approve for each in self.story.troubles if each.target == finding.target and each.approve), "")
        if finding.deed is Deed.REFUSED and approve and approve not in text:
            yield Row("approve", said(approve), command=True)

    def trouble(self, one: Trouble, commands: set[str]) -> Block:
        """Return a target that did not go well, or does again."""
        good = one.what == "recovered"
        titles = {
            "refused": f"nothing was written to {one.target}",
            "failed": f"{one.target} could not be read or written whole",
            "overdue": f"{one.target} had no good run for long",
            "recovered": f"{one.target} is good again",
        }
        rows = [Row("before" if good else "because", said(_why(one))), Row("since", f"{moment(one.since)}{self._ago(one.since)}")]
        advice = {
            "refused": "read why; approve exactly this plan if it is right, correct the policy or the settings if it is not",
            "failed": "the next run tries again by itself; if it stays, see: cloudsync doctor",
            "overdue": "see that runs are started, and: cloudsync doctor",
            "recovered": "nothing to do",
        }
        rows.append(Row("you", said(one.advice or advice.get(one.what, ""))))
        if one.approve and said(one.approve) not in commands:
            rows.append(Row("approve", said(one.approve), command=True))
        tone = Tone.GOOD if good else Tone.WARN if one.what == "overdue" else Tone.BAD
        return Block(
            one.what,
            tone,
            "" if good else "new" if one.new else "ongoing",
            said(one.title or titles.get(one.what, one.target)),
            tuple(rows),
        )

    def _ago(self, at: float) -> str:
        return f", {lasted(self.story.at - at)} ago" if self.story.at - at >= 60 else ""

    def ending(self, one: Expiring) -> Block:
        """Return a rule that ends soon."""
        left = lasted(max(0.0, one.until - self.story.at))
        effect = "its end opens access: what it forbids will pass" if one.protects else "its end cuts access: what it allows will not pass"
        owner = f"{one.owner}: " if one.owner else ""
        rows = (
            Row("where", said(one.where)),
            Row("until", f"{moment(one.until)}, in {left}"),
            Row("then", effect),
            Row("you", said(f"{owner}move its `until`, or let it end")),
        )
        return Block("ends", Tone.WARN, f"in {left}", said(f"rule {one.rule} ends soon"), rows)

    def made(self, one: Made) -> Block:
        """Return a change that this run brought about."""
        rows = [Row("where", said(f"{one.target}: {one.labels.text()} ({names(one.workloads, WORKLOADS)})"))]
        rows += [Row("opens", said(text)) for text in one.opens[:4]] + [Row("closes", said(text)) for text in one.closes[:4]]
        if one.rules:
            rows.append(Row("because", said(names(one.rules, 3))))
        way = "to" if one.direction == "inbound" else "from"
        return Block("applied", Tone.GOOD, "", said(f"what may pass {way} {counted(len(one.workloads), 'workload')} changed"), tuple(rows))

    def line(self, one: Tracked) -> Line:
        """Return a finding in the overview."""
        put_back = one.deed is Deed.RESTORED
        if one.state is State.ACKNOWLEDGED and one.acknowledged is not None:
            state = f"accepted until {moment(one.acknowledged.until)[:10]}"
        else:
            state = "put back" if put_back else AGED[one.state]
        quiet = put_back or one.state is State.ACKNOWLEDGED
        title = said(happening(one, over=put_back, verb=False))
        since = f"since {moment(one.first_seen)[:16]}"
        return Line(one.severity.value, Tone.GOOD if quiet else GRADES[one.severity], title, (said(one.target), state, since))

    def targets(self) -> Iterator[Line]:
        """Yield how every target stands."""
        for one in self.story.targets:
            good = f"last good run {moment(one.good)}" if one.good is not None else "no good run yet"
            detail = f": {one.detail}" if one.detail else ""
            yield Line(
                said(one.state), STANDING.get(one.state, Tone.WARN), said(one.name), (said(f"{one.platform}, {one.mode}{detail}"), good)
            )

    def foot(self) -> Iterator[Row]:
        """Yield where all of this can be looked up."""
        story = self.story
        yield Row("run", said(f"{story.run_id} ({story.verb} of {story.owner}, {moment(story.at)})"))
        yield Row("policy", said(one_line(story.policy, 120)))
        if story.audit_head:
            yield Row("audit", said(one_line(story.audit_head, 200)))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def days(story: Story, count: int) -> Iterator[Day]:
    """Yield the last days of all targets together, oldest first; a target that was not read that day stands as it was read last."""
    marks = sorted((one for one in story.trend if not one.label), key=lambda one: one.day)
    if not marks:
        return
    today = datetime.fromtimestamp(story.at, UTC).date()
    for back in range(count - 1, -1, -1):
        day = (today - timedelta(days=back)).isoformat()
        last = {one.target: one for one in marks if one.day <= day}
        found = sum(one.found for one in marks if one.day == day)
        if last:
            yield Day(day, sum(one.findings for one in last.values()), found, sum(one.exposed for one in last.values()))
        else:
            yield Day(day, None, 0, None)


def weekday(day: str) -> str:
    """Return the two letters of a day, e.g. `Mo`."""
    return ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")[date.fromisoformat(day).weekday()]
