"""What a failed push left behind: the registry may have accepted the manifest before the error."""

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
    """The outcome of a failed push: pushed all the same if `ours` says so of what the tag names now, else the failure.

    The tag is inspected `closely` if the digest alone is not enough. The outcome is recorded; a tag in place is not
    verified yet.
    """
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
    """What a tag names after its push failed."""
    recorder.require_running()
    look = TagInspector(gateways, fact, fact.repository.credential, (fact,))
    return look.afterwards(closely=closely, engine=not was_reached(fact))


def before(fact: Facts) -> str:
    """The digest the tag named before the push; empty if there was none, or it is unknown."""
    return fact.tag_now.manifest.digest if isinstance(fact.tag_now, TagHeld) else ""


def is_certain(outcome: Denied | Failed) -> bool:
    """Whether the account was refused: then no manifest was accepted before."""
    return isinstance(outcome, Denied) and outcome.denial.kind is not DenialKind.UNCLEAR


def is_known(fact: Facts) -> bool:
    """Whether it is known what the tag named before."""
    return isinstance(fact.tag_now, TagHeld | TagAbsent)


def arrived(fact: Facts, outcome: Denied | Failed, digest: str) -> Pushed:
    """The outcome of a tag that names the pushed `digest`, though the push ended with an error."""
    return Pushed(digest, how=How.ALREADY_THERE if before(fact) == digest else How.PUSHED, despite=_words(outcome))


def _words(outcome: Denied | Failed) -> str:
    """The error a push ended with. Conclusions from a refusal do not matter once the tag is in place."""
    if isinstance(outcome, Failed):
        return outcome.failure.message
    said = (item.message for item in outcome.denial.evidence if item.stage is Stage.PUSH)
    return next(said, outcome.denial.summary)


def left(fact: Facts, outcome: Denied | Failed, now: TagState) -> Denied | Failed:
    """The outcome of a tag that may not name what was pushed: what it names `now` may come from this push."""
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
    """The same outcome for a tag that was not tried: what was seen of the first tag does not apply."""
    return outcome._replace(begun=False, seen="")
