"""The daemon's pure state: settling, busy paths, collected deletions, the queue. Times are given, nothing waits."""

from __future__ import annotations

import pytest

from syncd.core.busy import Busy
from syncd.core.lot import AGAIN_S, COUNTED_S, LONGEST_S, QUIET_S, Due, Lot
from syncd.core.model import Kind, LocalEntry, Problem
from syncd.core.plan import Withheld
from syncd.core.queue import FIRST_RETRY_S, LONGEST_RETRY_S, WorkQueue
from syncd.core.settling import GONE_S, LARGE_BYTES, MOST_SEEN, Settling, Stillness, Verdict

WALL_NS = 1_700_000_000_000_000_000


def file(path: bytes = b"a", *, size: int = 0, age_s: float = 0.0) -> LocalEntry:
    return LocalEntry(path, Kind.FILE, size, WALL_NS - int(age_s * 1e9), 0, 7)


class TestSettling:
    def judge(self, settling: Settling, entry: LocalEntry, now_s: float) -> Verdict:
        return settling.judge(entry, now_s=now_s, wall_ns=WALL_NS + int(now_s * 1e9))

    def settling(self) -> Settling:
        return Settling(settle_s=0.5, settle_max_s=10.0)

    def test_an_old_file_is_settled_at_first_sight(self) -> None:
        assert self.judge(self.settling(), file(age_s=0.5), 0.0).stillness is Stillness.SETTLED

    def test_a_young_file_is_told_when_to_look_again(self) -> None:
        settling = self.settling()
        verdict = self.judge(settling, file(age_s=0.1), 0.0)
        assert verdict.stillness is Stillness.MOVING
        assert verdict.wait_s == pytest.approx(0.4)
        assert len(settling) == 1
        assert self.judge(settling, file(age_s=0.1), 0.4).stillness is Stillness.SETTLED
        assert len(settling) == 0

    def test_a_large_file_has_to_hold_still_for_longer_but_not_for_ever(self) -> None:
        settling = self.settling()
        assert settling.needed_s(LARGE_BYTES) == pytest.approx(1.0)
        assert settling.needed_s(1000 * LARGE_BYTES) == pytest.approx(4.0)
        assert self.judge(settling, file(size=LARGE_BYTES, age_s=0.7), 0.0).stillness is Stillness.MOVING

    def test_a_stamp_in_the_future_proves_nothing_and_the_file_is_watched(self) -> None:
        settling = self.settling()
        entry = file(age_s=-3600.0)
        assert self.judge(settling, entry, 0.0) == Verdict(Stillness.MOVING, 0.5)
        assert self.judge(settling, entry, 0.2).wait_s == pytest.approx(0.3)
        assert self.judge(settling, entry, 0.5).stillness is Stillness.SETTLED

    def test_what_held_still_under_a_stamp_in_the_future_is_settled_until_it_changes(self) -> None:
        """It may have to wait for something else: looking at it again and again must not begin anew."""
        settling = self.settling()
        ahead = file(age_s=-3600.0)
        verdicts = [self.judge(settling, ahead, now_s).stillness for now_s in (0.0, 0.6, 0.6, 5.0, 50.0)]
        assert verdicts == [Stillness.MOVING, *[Stillness.SETTLED] * 4]
        changed = ahead._replace(size=ahead.size - 1)
        assert self.judge(settling, changed, 60.0).stillness is Stillness.MOVING
        assert self.judge(settling, changed, 60.6).stillness is Stillness.SETTLED

    @pytest.mark.parametrize(
        ("sizes", "stillness"),
        [([10, 20, 30], Stillness.GROWING), ([10, 5, 30], Stillness.RESTLESS), ([10, 10, 10], Stillness.GROWING)],
    )
    def test_what_never_holds_still_is_told_apart_in_the_end(self, sizes: list[int], stillness: Stillness) -> None:
        settling = self.settling()
        for now_s, size in zip((0.0, 5.0, 10.0), sizes, strict=True):
            verdict = self.judge(settling, file(size=size, age_s=-now_s), now_s)
        assert verdict.stillness is stillness

    def test_files_that_went_before_they_settled_are_not_remembered_for_ever(self) -> None:
        settling = self.settling()
        for number in range(MOST_SEEN):
            self.judge(settling, file(b"%d" % number), 0.0)
        assert len(settling) == MOST_SEEN
        self.judge(settling, file(b"more", age_s=-60.0), 60.0)
        assert len(settling) == MOST_SEEN + 1
        for number in range(MOST_SEEN):
            self.judge(settling, file(b"later %d" % number, age_s=-GONE_S - 1), GONE_S + 1)
        assert len(settling) == MOST_SEEN + 1

    def test_what_was_forgotten_begins_anew(self) -> None:
        settling = self.settling()
        self.judge(settling, file(), 0.0)
        settling.forget([b"a"])
        assert self.judge(settling, file(age_s=-20.0), 20.0).stillness is Stillness.MOVING


class TestBusy:
    def test_a_key_what_is_above_it_and_what_is_below_it(self) -> None:
        busy = Busy()
        fence = busy.fence()
        assert not fence.excludes(b"d\0f")
        busy.take([b"d\0f"])
        assert len(busy) == 1
        assert [fence.excludes(key) for key in (b"d\0f", b"d", b"d\0f\0g", b"d\0e", b"")] == [
            True,
            True,
            True,
            False,
            False,
        ]

    def test_a_key_taken_twice_is_free_when_it_was_released_twice(self) -> None:
        busy = Busy()
        busy.take([b"d\0f", b"d\0f"])
        busy.release([b"d\0f"])
        assert busy.now.touch(b"d")
        busy.release([b"d\0f"])
        assert not busy.now.touch(b"d")

    def test_what_ended_after_a_fence_began_is_still_excluded_by_it_and_by_no_later_one(self) -> None:
        busy = Busy()
        busy.take([b"a"])
        fence = busy.fence()
        busy.release([b"a"])
        assert fence.excludes(b"a")
        assert not busy.fence().excludes(b"a")

    def test_a_fence_knows_all_that_was_worked_on_since(self) -> None:
        busy = Busy()
        busy.take([b"before", b"during"])
        busy.release([b"before"])
        fence = busy.fence()
        busy.release([b"during"])
        busy.take([b"now"])
        assert set(fence.touched()) == {b"during", b"now"}

    def test_a_closed_fence_is_told_nothing_more(self) -> None:
        busy = Busy()
        fence = busy.fence()
        fence.close()
        busy.take([b"a"])
        busy.release([b"a"])
        assert not fence.excludes(b"a")


def nothing_unsynced(_: str) -> bool:
    return False


def withheld(*paths: str, after: str | None = None) -> list[Withheld]:
    return [Withheld(path.encode(), 1, after) for path in paths]


class TestLot:
    def due(self, lot: Lot, now_s: float) -> Due | None:
        return lot.due(now_s, is_unsynced=nothing_unsynced)

    def test_deletions_wait_until_none_was_added_for_a_while(self) -> None:
        lot = Lot()
        assert (lot.next_due_s(), self.due(lot, 0.0), lot.since_s) == (None, None, None)
        assert (lot.keys, lot.held) == (frozenset(), 0)
        lot.noticed(withheld("a"), since_s=0.5, now_s=1.0)
        lot.noticed(withheld("b"), since_s=3.0, now_s=4.0)
        lot.noticed(withheld("a"), since_s=6.0, now_s=6.0)
        assert lot.since_s == 0.5
        assert self.due(lot, 4.0 + QUIET_S - 0.1) is None
        assert self.due(lot, 4.0 + QUIET_S) == Due(frozenset({b"a", b"b"}), False)

    def test_they_are_done_in_the_end_whatever_is_added(self) -> None:
        lot = Lot()
        for second in range(int(LONGEST_S) + 1):
            lot.noticed(withheld(f"f{second}"), since_s=second, now_s=second)
            assert second == LONGEST_S or self.due(lot, second) is None
        due = self.due(lot, LONGEST_S)
        assert due is not None
        assert len(due.keys) == LONGEST_S + 1

    def test_what_came_back_is_no_deletion(self) -> None:
        lot = Lot()
        lot.noticed(withheld("a", "b"), since_s=0.0, now_s=0.0)
        lot.discard([b"a", b"never there"])
        assert self.due(lot, QUIET_S) == Due(frozenset({b"b"}), False)
        lot.discard([b"b"])
        assert (lot.waiting, lot.next_due_s()) == (0, None)

    def test_a_path_waits_for_its_replacement(self) -> None:
        lot = Lot()
        lot.noticed(withheld("old", after="new"), since_s=0.0, now_s=0.0)
        assert lot.due(QUIET_S, is_unsynced=lambda path: path == "new") is None
        assert lot.next_due_s() == QUIET_S + AGAIN_S
        assert self.due(lot, QUIET_S + AGAIN_S) == Due(frozenset({b"old"}), False)

    def test_what_replaces_a_path_may_turn_out_later(self) -> None:
        lot = Lot()
        lot.noticed(withheld("old"), since_s=0.0, now_s=0.0)
        lot.noticed([Withheld(b"old", 0, "new")], since_s=1.0, now_s=1.0)
        assert lot.due(QUIET_S, is_unsynced=lambda path: path == "new") is None
        lot.hold(withheld("old"), "too many")
        assert lot.held == 1

    def test_what_is_held_waits_for_approval_and_passes_then(self) -> None:
        lot = Lot()
        lot.noticed(withheld("b", "a"), since_s=0.0, now_s=0.0)
        lot.hold(withheld("a", "b", "unknown"), "too many")
        assert (lot.held, lot.held_paths, lot.held_because, lot.waiting) == (2, ("a", "b"), "too many", 0)
        lot.noticed(withheld("a"), since_s=1.0, now_s=1.0)
        assert lot.waiting == 0
        assert lot.keys == {b"a", b"b"}
        assert lot.approve(now_s=100.0) == 2
        assert (lot.held, lot.held_because) == (0, None)
        assert self.due(lot, 100.0) == Due(frozenset({b"a", b"b"}), True)

    def test_approval_does_not_let_pass_what_came_after(self) -> None:
        lot = Lot()
        lot.noticed(withheld("a"), since_s=0.0, now_s=0.0)
        lot.hold(withheld("a"), "too many")
        lot.noticed(withheld("b"), since_s=1.0, now_s=1.0)
        lot.approve(now_s=2.0)
        assert self.due(lot, 2.0) == Due(frozenset({b"a"}), True)
        lot.discard([b"a"])
        assert self.due(lot, 1.0 + QUIET_S) == Due(frozenset({b"b"}), False)

    def test_held_files_that_came_back_are_not_held(self) -> None:
        lot = Lot()
        lot.noticed(withheld("a", "b"), since_s=0.0, now_s=0.0)
        lot.hold(withheld("a", "b"), "too many")
        lot.discard([b"a"])
        assert (lot.held_paths, lot.held_because) == (("b",), "too many")
        lot.discard([b"b"])
        assert (lot.held, lot.held_because, lot.approve(now_s=1.0)) == (0, None, 0)

    def test_what_was_deleted_lately_and_what_is_held_counts(self) -> None:
        lot = Lot()
        lot.done(0, now_s=0.0)
        lot.done(5, now_s=0.0)
        lot.done(7, now_s=10.0)
        lot.noticed(withheld("a"), since_s=0.0, now_s=0.0)
        lot.hold(withheld("a"), "too many")
        assert lot.counted(10.0) == 13
        assert lot.counted(COUNTED_S) == 8
        assert lot.counted(COUNTED_S + 10.0) == 1

    def test_a_lot_that_could_not_be_looked_at_is_tried_again_later(self) -> None:
        lot = Lot()
        lot.noticed(withheld("a"), since_s=0.0, now_s=0.0)
        lot.later(QUIET_S)
        assert self.due(lot, QUIET_S + 0.1) is None
        assert self.due(lot, QUIET_S + AGAIN_S) is not None

    def test_what_is_left_of_an_approved_lot_joins_the_next_one(self) -> None:
        lot = Lot()
        lot.noticed(withheld("d"), since_s=0.0, now_s=0.0)
        lot.hold(withheld("d"), "too many")
        lot.approve(now_s=1.0)
        lot.noticed(withheld("d/a"), since_s=1.0, now_s=1.0)
        due = self.due(lot, 1.0)
        assert due == Due(frozenset({b"d"}), True)
        lot.left(due.keys, now_s=1.0)
        assert self.due(lot, 2.0) is None
        assert self.due(lot, 100.0) == Due(frozenset({b"d", b"d/a"}), False)
        lot.discard([b"d", b"d/a"])
        lot.left(due.keys, now_s=100.0)
        assert lot.next_due_s() is None

    def test_one_of_which_nothing_comes_is_tried_ever_more_rarely_until_something_does(self) -> None:
        lot = Lot()
        lot.noticed(withheld("a"), since_s=0.0, now_s=0.0)
        waits_s = []
        for _ in range(10):
            lot.later(100.0)
            waits_s.append((lot.next_due_s() or 0.0) - 100.0)
        assert waits_s == [2.0, 4.0, 8.0, 16.0, 32.0, *[LONGEST_S] * 5]
        lot.done(1, now_s=100.0)
        lot.later(100.0)
        assert lot.next_due_s() == 100.0 + AGAIN_S

    def test_it_tells_of_a_path_whether_it_is_collected_or_held(self) -> None:
        lot = Lot()
        lot.noticed([Withheld(b"a", 1, None)], since_s=0.0, now_s=0.0)
        assert (lot.collects(b"a"), lot.holds(b"a"), lot.collects(b"b")) == (True, False, False)
        lot.hold(withheld("a"), "too many")
        assert (lot.collects(b"a"), lot.holds(b"a")) == (False, True)


def problem(path: str = "d/f") -> Problem:
    return Problem(path, "create", "403")


class TestQueue:
    def test_it_tells_when_a_directory_is_looked_at_and_what_is_parked(self) -> None:
        queue = WorkQueue()
        assert queue.due_s("d") is None
        queue.look_at(["d"], since_s=0.0, due_s=5.0)
        assert queue.due_s("d") == 5.0
        queue.look_everywhere(since_s=0.0, due_s=3.0)
        assert (queue.due_s("d"), queue.due_s("e")) == (3.0, 3.0)
        queue.park(Problem("d/f", "create", "no"), now_s=0.0, entry=None, chance=0.0)
        parked = queue.parked_at("d/f")
        assert parked is not None
        assert parked.tries == 1
        assert queue.resting == {"d/f"}
        assert queue.take(parked.due_s) == {"d": 0.0}
        assert queue.resting == frozenset()
        assert queue.parked_at("d") is None
        queue.solved_if("d/f", "another reason")
        queue.solved_if("d", "no")
        assert queue.parked_paths() == ("d/f",)
        queue.solved_if("d/f", "no")
        assert queue.parked_paths() == ()

    def test_a_directory_is_one_entry_with_the_earliest_times(self) -> None:
        queue = WorkQueue()
        queue.look_at(["d"], since_s=1.0, due_s=1.5)
        queue.look_at(["d", "e"], since_s=2.0, due_s=2.5)
        assert (queue.depth(0.0), queue.directories, queue.oldest_s()) == (2, frozenset({"d", "e"}), 1.0)
        assert queue.next_directory_s() == 1.5
        assert queue.take(1.0) == {}
        assert queue.take(1.5) == {"d": 1.0}
        assert queue.take(2.5) == {"e": 2.0}
        assert (queue.next_directory_s(), queue.oldest_s()) == (None, None)

    def test_a_directory_that_rests_is_due_later_and_others_are_not(self) -> None:
        queue = WorkQueue()
        queue.look_at(["d", "e"], since_s=0.0, due_s=1.0)
        queue.rest("d", until_s=3.0)
        assert queue.take(1.0) == {"e": 0.0}
        assert queue.next_directory_s() == 3.0
        assert queue.take(2.9) == {}
        assert queue.take(3.0) == {"d": 0.0}
        queue.look_at(["d"], since_s=4.0, due_s=4.0)
        assert queue.next_directory_s() == 4.0

    def test_too_many_directories_are_the_whole_tree(self) -> None:
        queue = WorkQueue(most_directories=3)
        queue.look_at(["a", "b", "c"], since_s=1.0, due_s=2.0)
        assert queue.next_everywhere_s() is None
        queue.look_at(["d"], since_s=3.0, due_s=4.0)
        assert (len(queue.directories), queue.depth(0.0), queue.next_everywhere_s()) == (0, 1, 4.0)
        assert queue.take_everywhere(3.9) is None
        assert queue.take_everywhere(4.0) == 1.0
        assert queue.take_everywhere(4.0) is None

    def test_a_full_reconcile_counts_when_it_is_due(self) -> None:
        queue = WorkQueue()
        assert queue.take_full(0.0) is None
        queue.reconcile_all(since_s=5.0, due_s=5.0)
        assert (queue.depth(4.0), queue.depth(5.0), queue.next_full_s()) == (0, 1, 5.0)
        assert (queue.waits_since(4.0), queue.waits_since(5.0)) == (False, True)
        assert queue.take_full(4.0) is None
        assert queue.take_full(5.0) == 5.0
        assert queue.next_full_s() is None

    def test_a_parked_path_rests_until_its_time_or_until_it_changes(self) -> None:
        queue = WorkQueue()
        queue.park(problem(), now_s=0.0, entry=file(), chance=0.5)
        assert queue.parked == (problem(),)
        assert queue.parked_paths() == ("d/f",)
        assert queue.rests("d/f", file())
        assert not queue.rests("d/f", file(size=11))
        assert not queue.rests("d/other", file())
        assert queue.oldest_s() == 0.0
        assert queue.next_directory_s() == FIRST_RETRY_S
        assert queue.take(FIRST_RETRY_S) == {"d": 0.0}
        assert not queue.rests("d/f", file())
        assert queue.take(FIRST_RETRY_S) == {}
        assert queue.next_directory_s() is None

    def test_it_waits_longer_each_time_and_never_too_long(self) -> None:
        queue = WorkQueue()
        waits = []
        for _ in range(12):
            queue.park(problem("f"), now_s=0.0, entry=None, chance=0.5)
            waits.append(queue.next_directory_s() or 0.0)
            assert queue.take(waits[-1]) == {"": 0.0}
        assert waits == sorted(waits)
        assert (waits[0], waits[1], waits[-1]) == (FIRST_RETRY_S, 3 * FIRST_RETRY_S, LONGEST_RETRY_S)

    def test_what_is_solved_is_parked_no_more(self) -> None:
        queue = WorkQueue()
        queue.park(problem(), now_s=0.0, entry=None, chance=0.0)
        queue.solved(["d/f", "unknown"])
        assert (queue.parked, queue.next_directory_s()) == ((), None)
