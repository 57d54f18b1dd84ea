"""The timeline: every step in its row, what is bad in red, texts that stay within the drawing."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from selfheal import story
from selfheal.control_room import timeline_svg
from selfheal.control_room.timeline_svg import BLUE, GREEN, MAX_ROWS, RED
from selfheal.story import Moment
from selfheal.words import Outcome

from tests.unit.html_reader import Element, every, read, shape
from tests.unit.incidents import START, Story, alarm, incident
from tests.unit.test_markup import TEXTS


def drawn(moments: list[Moment], width: int = 720, **more: float) -> Element:
    return read(timeline_svg.svg(moments, START, width, **more))


def healed() -> Story:
    told = Story(incident(contain="halt_trading disable_schedule", probe=True))
    told.go()
    told.now += 1
    told.answer("halt_trading")
    told.answer("disable_schedule")
    told.now += 9
    told.answer("roll_back_alias")
    told.sees(alarm("OK", START + 200, data=START + 190))
    told.later(300)
    return told


def test_each_step_has_its_row_and_the_milestones_their_times() -> None:
    page = drawn(story.of(healed().incident))
    texts = [one.text for one in every(page, "text")]

    assert "halt_trading halt_trading" in texts
    assert "roll_back_alias roll_back_alias" in texts
    assert "contained 1 s" in texts
    assert texts.count("done") == 3
    assert "Timeline of 4 steps from red. contained after 1 s" in every(page, "title")[0].text


def test_the_colour_of_a_bar_says_how_it_went() -> None:
    told = Story(incident())
    told.go()
    told.answer("halt_trading")
    told.now += 5
    going_on = {one.attributes["fill"] for one in every(drawn(story.of(told.incident), now=told.now), "rect")}
    told.answer("roll_back_alias", Outcome.FAILED)
    failed = [one.attributes["fill"] for one in every(drawn(story.of(told.incident)), "rect")]

    assert {GREEN, BLUE} <= going_on
    assert failed[-1] == RED


def test_a_step_that_waits_since_green_does_not_begin_at_red() -> None:
    told = Story(incident(recover="resume_trading!"))
    told.go()
    told.answer("halt_trading")
    told.answer("roll_back_alias")
    told.sees(alarm("OK", START + 200, data=START + 190))
    told.later(300)
    waits = next(one for one in story.of(told.incident) if one.kind == "person")

    assert waits.at == told.incident.green_at


def test_too_many_steps_are_counted() -> None:
    many = [Moment(START + n, "remediate", f"step {n}: done", until=START + n + 1, step=n) for n in range(MAX_ROWS + 3)]

    assert "and 3 more steps" in [one.text for one in every(drawn(many), "text")]


def test_nothing_is_drawn_outside() -> None:
    for width in (320, 400, 720, 1400):
        for moments in ([], story.of(incident()), story.of(healed().incident)):
            page = drawn(moments, width, now=START + 4)
            (whole,) = every(page, "svg")
            assert whole.attributes["viewbox"] == f"0 0 {width} {whole.attributes['height']}"
            for bar in every(page, "rect"):
                assert float(bar.attributes["x"] or 0) + float(bar.attributes["width"] or 0) <= width


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TEXTS, TEXTS, st.integers(0, 2000), st.floats(-1e6, 1e9), st.one_of(st.none(), st.floats(-1e6, 1e9)))
def test_hostile_texts_and_times_change_no_element(
    title: str, detail: str, width: int, after: float, took: float | None
) -> None:
    def of(title: str, detail: str) -> list[str]:
        until = None if took is None else START + after + took
        one = Moment(START + after, "contain", f"{title}: done", detail, True, until, 0)
        return shape(drawn([one], width))

    assert of(title, detail) == of("halt_trading", "halted")


def test_a_text_is_cut_where_its_room_ends() -> None:
    assert timeline_svg.fitting("halt_trading", 200, 11) == "halt_trading"
    assert timeline_svg.fitting("x" * 100, 60, 11).endswith("x…")
    assert len(timeline_svg.fitting("字" * 100, 60, 11)) < len(timeline_svg.fitting("i" * 100, 60, 11))
