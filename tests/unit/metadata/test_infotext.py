"""Infotext written by the rules is read as it was meant, and read as A1111 and sd-parsers read it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from sd_parsers.parsers import AUTOMATIC1111Parser

from sidecar.media.metadata import infotext
from sidecar.media.metadata.infotext import FEWEST_PAIRS, Infotext, parse, write

ANY = st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"]), max_size=60)
TRICKY = st.text(st.sampled_from('ab1,:"\\\n {}[]<>()Steps'), max_size=40)
TEXT = (ANY | TRICKY).map(str.strip)
VALUE = ANY | TRICKY | st.sampled_from(("1024x1024", "a: h1, b: h2", "DPM++ 2M", '{"model": "1f"}', '"', "C:\\x\\", ""))
KEY = st.from_regex(r"[A-Za-z][A-Za-z0-9 \-/]{0,20}[A-Za-z0-9]", fullmatch=True)


def pairs(fewest: int, most: int) -> st.SearchStrategy[tuple[tuple[str, str], ...]]:
    return st.lists(st.tuples(KEY, VALUE), min_size=fewest, max_size=most).map(tuple)


def no_mark(text: str) -> bool:
    return not any(line.lstrip(" \t").startswith("Negative prompt:") for line in text.split("\n"))


@settings(max_examples=200, deadline=None)
@given(TEXT.filter(no_mark), TEXT, pairs(FEWEST_PAIRS, 9))
@example(
    'a "quoted", text: with\nlines', "blurry:1.2, (bad)", (("Lora hashes", "a: h1, b: h2"), ("X1", "\n"), ("Y1", ""))
)
def test_what_is_written_is_read_back(prompt: str, negative: str, given_pairs: tuple[tuple[str, str], ...]) -> None:
    info = Infotext(prompt, negative, given_pairs)
    assert parse(write(info)) == info


def no_line(*starts: str) -> Callable[[str], bool]:
    return lambda text: not any(line.startswith(starts) for line in text.split("\n"))


TEMPLATE = TEXT.filter(no_line("Steps:", "Template:", "Negative Template:"))


@settings(max_examples=150, deadline=None)
@given(TEXT.filter(no_mark), TEXT, VALUE, pairs(FEWEST_PAIRS - 1, 9), TEMPLATE, TEMPLATE)
@example("a fox", "bad", "20", (("Sampler", "Euler a"), ("Seed", "5")), "aa: 1, bb: 2, {c|dd: 3}", "x\ny")
def test_templates_behind_the_parameters_are_two_more_pairs(
    prompt: str, negative: str, steps: str, more: tuple[tuple[str, str], ...], template: str, unwanted: str
) -> None:
    info = Infotext(prompt, negative, (("Steps", steps), *more))
    templates = (("Template", template), ("Negative Template", unwanted))
    text = f"{write(info)}\nTemplate: {template}\nNegative Template: {unwanted}"
    assert parse(text) == Infotext(prompt, negative, info.pairs + templates)
    assert parse(write(parse(text))) == parse(text)


def test_a_template_is_one_only_behind_parameters() -> None:
    for text in ("a fox\nTemplate: x", "Steps: 20\nTemplate: x", "Steps: 20, Seed: 5\nSize: 8x8\nTemplate: x"):
        assert parse(text) == Infotext(text)
    last = "Steps: 20, Seed: 5, Size: 8x8"
    assert parse(f"Template: x\n{last}") == Infotext("Template: x", "", parse(last).pairs)
    assert parse(f"{last}\nTemplate: x").pairs == (*parse(last).pairs, ("Template", "x"))


@settings(max_examples=80, deadline=None)
@given(TEXT.filter(no_mark), TEXT.filter(bool), pairs(0, FEWEST_PAIRS - 1))
def test_fewer_than_three_pairs_are_part_of_the_prompt(
    prompt: str, negative: str, given_pairs: tuple[tuple[str, str], ...]
) -> None:
    text = write(Infotext(prompt, negative, given_pairs))
    read = parse(text)
    assume(not read.pairs)  # values may look like pairs
    line = write(Infotext("", "", given_pairs)).strip()
    assert read == Infotext(prompt, f"{negative}\n{line}".strip() if line else negative)


@settings(max_examples=150, deadline=None)
@given(ANY | TRICKY)
def test_any_text_is_read(text: str) -> None:
    info = parse(text)
    assert not info.pairs or len(info.pairs) >= FEWEST_PAIRS


PLAIN = st.text("abcdefgh ()<>.", min_size=1, max_size=30).map(str.strip).filter(bool)


BEHIND = st.sampled_from(
    ("", "\nTemplate: a {fox|cat}", "\nTemplate: a __animal__\nand more\nNegative Template: {bad|worse}")
)


@settings(max_examples=80, deadline=None)
@given(PLAIN, PLAIN, st.integers(0, 2**32), st.integers(1, 150), PLAIN, BEHIND)
def test_reads_what_sd_parsers_reads(
    prompt: str, negative: str, seed: int, steps: int, model: str, behind: str
) -> None:
    """Where both understand: no quoted values, which sd-parsers loses."""
    said = {"Steps": str(steps), "Sampler": "Euler a", "CFG scale": "7", "Seed": str(seed), "Model": model}
    text = write(Infotext(prompt, negative, tuple(said.items()))) + behind
    theirs = AUTOMATIC1111Parser().parse({"parameters": text})
    (sampler,) = theirs.samplers
    ours = parse(text)
    assert ours.prompt == sampler.prompts[0].value
    assert ours.negative_prompt == sampler.negative_prompts[0].value
    assert sampler.model is not None
    assert dict(ours.pairs)["Model"] == sampler.model.name
    assert dict(ours.pairs)["Sampler"] == sampler.name
    assert {"seed": str(seed), "steps": str(steps)}.items() <= sampler.parameters.items()


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ('Lora hashes: "a: h1, b: h2", Steps: 1, Seed: 2', "Lora hashes", "a: h1, b: h2"),
        ('Steps: 1, Seed: 2, Hashes: {"model": "1f", "lora:x": "2e"}', "Hashes", '{"model": "1f", "lora:x": "2e"}'),
        ('Civitai resources: [{"type":"lora","weight":0.6}], Steps: 1, Seed: 2', "Steps", "1"),
        ("Steps: 1, Model: a, b, Seed: 2", "Model", "a, b"),
        ('Steps: 1, Seed: 2, Path: "C:\\qodels\\x"', "Path", "C:\\qodels\\x"),
        ('Steps: 1, Seed: 2, Odd: "never closed', "Odd", '"never closed'),
        ("Steps: 1, Seed: 2, Odd: {never, closed", "Odd", "{never, closed"),
        ("Steps: 1,Seed:2 ,CFG scale :7", "CFG scale", "7"),
        ("Steps: 1, Seed: 2, ADetailer model 2nd: face_yolov8n.pt", "ADetailer model 2nd", "face_yolov8n.pt"),
    ],
)
def test_values_as_tools_write_them(line: str, key: str, value: str) -> None:
    assert dict(parse(f"a fox\n{line}").pairs)[key] == value


def test_parts_may_be_missing() -> None:
    last = "Steps: 1, Seed: 2, Size: 8x8"
    assert parse(last).prompt == ""
    assert parse(f"Negative prompt: x\n{last}") == Infotext("", "x", parse(last).pairs)
    assert parse(f"a\r\nb\r\nNegative prompt: x\r\n\r\n{last}") == Infotext("a\nb", "x", parse(last).pairs)
    assert parse("") == Infotext("")


def test_a_key_outside_of_the_grammar_is_refused() -> None:
    for key in ("", "a", "a:b", "a,b", " ab", "x\ny"):
        with pytest.raises(ValueError, match="cannot be a key"):
            write(Infotext("", "", ((key, "1"),)))


@pytest.mark.parametrize(
    "piece",
    ["a", "a b ", "a: {[", "aa: [", ", a", "aa:[1,", 'a: "', "a: [[", "aa: , ", "\\", "Negative prompt:", " ", "\n ",
     "\nSteps: 1, aa: 2, bb: 3", "\nSteps: 1, aa: 2, bb: 3\nTemplate: "],
)  # fmt: skip
def test_time_grows_with_the_text_and_no_faster(piece: str) -> None:
    """Regular expressions can take the square of a text's length: hours for these."""
    begun = time.process_time()
    infotext.parse("x\n" + piece * (1_000_000 // len(piece)))
    assert time.process_time() - begun < 20
