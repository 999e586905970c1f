"""What a push that failed has left behind: an error may come after the manifest was taken, and the tag tells."""

from __future__ import annotations

from collections.abc import Callable

from pushsafe.model.evidence import Stage, TagAbsent, TagHeld, TagState, TagUnknown
from pushsafe.model.facts import Facts
from pushsafe.model.outcomes import Denied, Failed, Outcome, Pushed
from pushsafe.model.plan import How
from pushsafe.model.verdicts import DenialKind
from pushsafe.push.ports import Gateways
from pushsafe.push.preflight import was_reached
from pushsafe.push.recorder import Recorder
from pushsafe.push.tag_state import TagInspector


def settle(
    fact: Facts,
    outcome: Denied | Failed,
    ours: Callable[[TagHeld], bool],
    gateways: Gateways,
    recorder: Recorder,
    *,
    because: str = "",
    closely: bool = False,
) -> Outcome:
    """A push that failed, unless the tag names what was pushed all the same, which `ours` tells, of what was looked at
    `closely` where the digest alone is not enough. What it came to is recorded; what is in place is not read back."""
    if not is_certain(outcome):
        now = tag_afterwards(fact, gateways, recorder, closely=closely)
        if isinstance(now, TagHeld) and ours(now):
            found = arrived(fact, outcome, now.manifest.digest)._replace(because=because)
            recorder.keep(fact, found)
            return found
        outcome = left(fact, outcome, now)
    recorder.finish(fact, outcome)
    return outcome


def tag_afterwards(fact: Facts, gateways: Gateways, recorder: Recorder, *, closely: bool = False) -> TagState:
    """What a tag names after a push of it that failed."""
    recorder.require_running()
    look = TagInspector(gateways, fact, fact.repository.credential, (fact,))
    return look.afterwards(closely=closely, engine=not was_reached(fact))


def before(fact: Facts) -> str:
    """The digest that the tag named before the push; empty where there was none, or nobody could tell."""
    return fact.tag_now.manifest.digest if isinstance(fact.tag_now, TagHeld) else ""


def is_certain(outcome: Denied | Failed) -> bool:
    """Whether a refusal is one of the account's: then no manifest was taken before it."""
    return isinstance(outcome, Denied) and outcome.denial.kind is not DenialKind.UNCLEAR


def is_known(fact: Facts) -> bool:
    """Whether anybody looked what the tag named before."""
    return isinstance(fact.tag_now, TagHeld | TagAbsent)


def arrived(fact: Facts, outcome: Denied | Failed, digest: str) -> Pushed:
    """The outcome of a tag that names what was pushed, by its `digest`, though the push ended with an error."""
    return Pushed(digest, how=How.ALREADY_THERE if before(fact) == digest else How.PUSHED, despite=_words(outcome))


def _words(outcome: Denied | Failed) -> str:
    """What a push ended with. What may be concluded from a refusal is beside the point once the tag is in place."""
    if isinstance(outcome, Failed):
        return outcome.failure.message
    said = (item.message for item in outcome.denial.evidence if item.stage is Stage.PUSH)
    return next(said, outcome.denial.summary)


def left(fact: Facts, outcome: Denied | Failed, now: TagState) -> Denied | Failed:
    """The outcome of a tag that is not known to name what was pushed: what it names `now` may be of this push."""
    match now:
        case TagHeld(manifest) if not is_known(fact):
            said = f"the tag names {manifest.digest} now, from this push or an earlier one"
        case TagHeld(manifest) if before(fact) != manifest.digest:
            said = f"the tag names {manifest.digest} now, which it did not before"
        case TagUnknown(why):
            said = f"it may have arrived; could not check: {why}"
        case _:
            return outcome
    return outcome._replace(begun=True, seen=said)


def of_others(outcome: Denied | Failed) -> Denied | Failed:
    """The same for a tag that was not tried: what was seen of the first one is not true of it."""
    return outcome._replace(begun=False, seen="")
