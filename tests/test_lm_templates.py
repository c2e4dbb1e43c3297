import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tokenizers.processors import TemplateProcessing

from dfo_bench.core import InputError
from dfo_bench.lm import models
from dfo_bench.lm.data import Row
from dfo_bench.lm.families import FAMILIES
from dfo_bench.lm.models import LanguageModel
from dfo_bench.lm.templates import Encoded, Template, label_tokens
from tests.tiny_lm import SIZE, TINY, Zoo, build

REVIEW = "{text} . it was [MASK] ."
ANSWER = "{text} . it was"
PAIR = "{text_a} ? [MASK] , {text_b}"
PATTERNS = {"embedding": "{text}", "masked": REVIEW, "causal": ANSWER, "seq2seq": REVIEW}
SLOTS = (1000, 1001, 1002)
READERS = [(name, head) for name, tiny in TINY.items() for head in FAMILIES[tiny.model_type].heads]
KINDS = [("bert", "masked"), ("roberta", "masked"), ("deberta-v2", "masked"), ("gpt2", "causal"), ("llama", "causal")]
KINDS += [("t5", "seq2seq"), ("bart", "seq2seq"), ("albert", "embedding")]
"""Every kind of tokenizer and head."""


@pytest.fixture(scope="module")
def tiny(zoo: Zoo) -> LanguageModel:
    return zoo.load("bert", "masked")


def template(
    model: LanguageModel, pattern: str = REVIEW, head: str = "masked", slots: int = 3, limit: int = 60
) -> Template:
    return Template(model, pattern, head=head, slots=slots, lead=" . " if slots else "", limit=limit)


def review(text: str) -> Row:
    return Row("x", (text,), "file:7")


def words(model: LanguageModel, ids: tuple[int, ...]) -> str:
    return " ".join(model.tokenizer.convert_ids_to_tokens(list(ids)))


def at_the_mask(model: LanguageModel, encoded: Encoded) -> str:
    assert encoded.mask is not None
    return words(model, encoded.ids[encoded.mask :][:1])


@pytest.mark.parametrize(
    ("name", "head", "before", "after"),
    [
        ("bert", "masked", "[CLS]", ". a film . it was [MASK] . [SEP]"),
        ("roberta", "masked", "<s>", "Ġ. Ġa Ġfilm Ġ. Ġit Ġwas <mask> Ġ. </s>"),
        ("xlm-roberta", "masked", "<s>", "▁. ▁a ▁film ▁. ▁it ▁was <mask> ▁. </s>"),
        ("deberta-v2", "masked", "[CLS]", "▁. ▁a ▁film ▁. ▁it ▁was [MASK] ▁. [SEP]"),
        ("albert", "embedding", "[CLS]", "▁. ▁a ▁film [SEP]"),
        ("gpt2", "causal", "", "Ġ. Ġa Ġfilm Ġ. Ġit Ġwas"),
        ("llama", "causal", "<s>", "▁. ▁a ▁film ▁. ▁it ▁was"),
        ("t5", "seq2seq", "", "▁. ▁a ▁film ▁. ▁it ▁was <extra_id_0> ▁. </s>"),
        ("bart", "seq2seq", "<s>", "Ġ. Ġa Ġfilm Ġ. Ġit Ġwas <mask> Ġ. </s>"),
    ],
)
def test_the_prompt_follows_the_first_special_tokens_and_no_causal_input_ends_with_one(
    zoo: Zoo, name: str, head: str, before: str, after: str
) -> None:
    model = zoo.load(name, head)
    encoded = template(model, PATTERNS[head], head).encode(review("a film"))
    first = len(before.split())
    assert words(model, encoded.ids[:first]) == before
    assert encoded.ids[first : first + 3] == SLOTS
    assert words(model, encoded.ids[first + 3 :]) == after
    assert (encoded.cut, (encoded.mask is None)) == (0, head in ("causal", "embedding"))


@pytest.mark.parametrize("name", [name for name, head in READERS if head == "causal"])
@pytest.mark.parametrize("text", ["A badly great film", "film.", "film " * 40])
def test_a_causal_input_says_where_its_text_ends_cut_or_not(zoo: Zoo, name: str, text: str) -> None:
    model, pattern = zoo.load(name, "causal"), "film : {text} . it was"
    made = template(model, pattern, "causal", slots=0, limit=30)
    made.demonstrate([(review("bad film"), "bad")])
    encoded = made.encode(review(text))
    decoded = model.tokenizer.decode(encoded.ids[encoded.end :]).strip()
    assert decoded == ". it was"
    before = model.tokenizer.decode(encoded.ids[: encoded.end], skip_special_tokens=True)
    kept = text if not encoded.cut else before[before.rindex(":") + 1 :]
    assert before.split() == f"film : bad film . it was bad film : {kept}".split()
    assert (encoded.cut > 0) == (len(text) > 30)


def test_a_token_that_the_text_shares_with_what_follows_belongs_to_what_follows(zoo: Zoo) -> None:
    model = zoo.load("gpt2", "causal")
    encoded = template(model, "{text}film", "causal", slots=0).encode(review("a "))
    assert words(model, encoded.ids[encoded.end :]) == "Ġfilm"


@pytest.mark.parametrize(("name", "head"), READERS)
def test_without_slots_a_text_is_what_the_tokenizer_makes_of_it(zoo: Zoo, name: str, head: str) -> None:
    model = zoo.load(name, head)
    encoded = template(model, PATTERNS[head], head, slots=0).encode(review("A badly great film"))
    mask = model.tokenizer.mask_token or "<extra_id_0>"
    text = PATTERNS[head].format(text="A badly great film").replace("[MASK]", mask)
    assert list(encoded.ids) == model.tokenizer(text)["input_ids"]
    assert encoded.text_bytes == len(text.encode())
    if head in ("masked", "seq2seq"):
        assert at_the_mask(model, encoded) == mask


@pytest.mark.parametrize("name", ["llama", "qwen3"])
def test_a_causal_input_does_not_end_with_what_ends_a_text(tmp_path: Path, name: str) -> None:
    folder, tokenizer = build(tmp_path / "ending", name), TINY[name].tokenizer()
    end = (tokenizer.eos_token, tokenizer.eos_token_id)
    tokenizer._tokenizer.post_processor = TemplateProcessing(single=f"$A {end[0]}", special_tokens=[end])
    tokenizer.save_pretrained(folder)
    model = models.load(str(folder), "causal")
    assert model.tokenizer("film")["input_ids"][1:] == [end[1]]
    encoded = template(model, ANSWER, "causal").encode(review("film"))
    assert words(model, encoded.ids[-1:])[1:] == "was"
    whole = template(models.load(str(folder), "embedding"), "{text}", "embedding").encode(review("film"))
    assert whole.ids[-1] == end[1]


def test_the_decoder_of_t5_has_written_the_sentinel(zoo: Zoo) -> None:
    model = zoo.load("t5", "seq2seq")
    encoded = template(model, REVIEW, "seq2seq").encode(review("film"))
    start = model.model.config.decoder_start_token_id
    assert encoded.decoder == (start, model.tokenizer.convert_tokens_to_ids("<extra_id_0>"))


def test_the_decoder_of_bart_has_written_all_up_to_the_mask(zoo: Zoo) -> None:
    model = zoo.load("bart", "seq2seq")
    encoded = template(model, REVIEW, "seq2seq").encode(review("film"))
    assert encoded.mask is not None
    assert encoded.decoder == (2, *encoded.ids[: encoded.mask])
    assert words(model, encoded.decoder[-2:]) == "Ġit Ġwas"


@pytest.mark.parametrize(("name", "head"), [("bert", "masked"), ("gpt2", "causal"), ("bert", "embedding")])
def test_only_a_sequence_to_sequence_model_has_a_decoder_to_begin(zoo: Zoo, name: str, head: str) -> None:
    assert template(zoo.load(name, head), PATTERNS[head], head).encode(review("film")).decoder == ()


@pytest.mark.parametrize(
    ("name", "head", "mask"),
    [("bert", "masked", "[MASK]"), ("roberta", "masked", "<mask>"), ("t5", "seq2seq", "<extra_id_0>")],
)
def test_a_mask_written_in_the_text_is_not_the_mask(zoo: Zoo, name: str, head: str, mask: str) -> None:
    model = zoo.load(name, head)
    for text in (f"a {mask} film", f"{mask}{mask}", "a [MASK] film"):
        encoded = template(model, REVIEW, head).encode(review(text))
        assert encoded.mask == len(encoded.ids) - 3
        assert at_the_mask(model, encoded) == mask
        first = template(model, "[MASK] : {text}", head).encode(review(text))
        assert words(model, first.ids[: first.mask]).split()[-1] in (".", "Ġ.", "▁.")


def test_solved_examples_come_first_with_their_words_at_the_mask(tiny: LanguageModel) -> None:
    made = template(tiny)
    made.demonstrate([(review("good film"), "great"), (review("bad film"), "awful")])
    encoded = made.encode(review("the film"))
    shown = "good film . it was great . bad film . it was awful ."
    assert words(tiny, encoded.ids[4:]) == f". {shown} the film . it was [MASK] . [SEP]"
    assert encoded.ids[1:4] == SLOTS
    assert at_the_mask(tiny, encoded) == "[MASK]"
    assert encoded.text_bytes == len(f"{shown} the film . it was [MASK] .")


def test_before_a_causal_model_solved_examples_stand_on_lines_and_end_with_their_words(zoo: Zoo) -> None:
    model = zoo.load("llama", "causal")
    made = template(model, ANSWER, "causal", slots=0)
    made.demonstrate([(review("good film"), " great "), (review("bad film"), "awful")])
    text = "good film . it was great\nbad film . it was awful\nthe film . it was"
    assert list(made.encode(review("the film")).ids) == model.tokenizer(text)["input_ids"]


def test_solved_examples_of_a_pair_have_their_word_between_its_texts(zoo: Zoo) -> None:
    model = zoo.load("t5", "seq2seq")
    made = template(model, PAIR, "seq2seq", slots=0)
    made.demonstrate([(Row("x", ("good", "bad")), "great")])
    encoded = made.encode(Row("x", ("it", "film")))
    text = "good ? great , bad it ? <extra_id_0> , film"
    assert list(encoded.ids) == model.tokenizer(text)["input_ids"]
    assert at_the_mask(model, encoded) == "<extra_id_0>"


def test_only_the_text_asked_about_is_cut_never_a_solved_example(tiny: LanguageModel) -> None:
    made = template(tiny, slots=0, limit=20)
    made.demonstrate([(review("good good good"), "great")])
    encoded = made.encode(review("film " * 30))
    shown = "good good good . it was great ."
    assert words(tiny, encoded.ids) == f"[CLS] {shown} film film film film film . it was [MASK] . [SEP]"
    assert (len(encoded.ids), encoded.cut) == (20, 25)


def test_truncation_cuts_the_end_of_the_text_and_keeps_mask_and_specials(tiny: LanguageModel) -> None:
    encoded = template(tiny, limit=14).encode(review("film " * 30))
    assert words(tiny, encoded.ids[4:]) == ". film film film . it was [MASK] . [SEP]"
    assert (len(encoded.ids), encoded.cut, encoded.mask) == (14, 27, 11)


def test_of_a_pair_the_longer_is_cut_first(tiny: LanguageModel) -> None:
    pair = Row("x", ("good " * 9, "bad bad"))
    encoded = template(tiny, PAIR, slots=0, limit=10).encode(pair)
    assert words(tiny, encoded.ids) == "[CLS] good good good ? [MASK] , bad bad [SEP]"
    encoded = template(tiny, PAIR, slots=0, limit=7).encode(pair)
    assert len(encoded.ids) == 7
    assert at_the_mask(tiny, encoded) == "[MASK]"


@pytest.mark.parametrize("shown", [0, 2])
def test_the_room_for_text_is_what_template_prompt_and_solved_examples_leave(tiny: LanguageModel, shown: int) -> None:
    made = template(tiny, limit=40)
    made.demonstrate([(review("good film"), "great")] * shown)
    # [CLS], three slots, ". . it was [MASK] .", [SEP]; "good film . it was great ." each.
    assert made.room == 40 - 11 - 7 * shown
    longest = made.encode(review("a " * made.room))
    assert (len(longest.ids), longest.cut) == (40, 0)
    assert made.encode(review("a " * (made.room + 1))).cut == 1


def test_a_text_for_which_there_is_no_room_at_all_is_refused(tiny: LanguageModel) -> None:
    with pytest.raises(InputError, match=r"file:7: .* leaves it no room in 6 tokens; pass a shorter temp"):
        template(tiny, slots=0, limit=6).encode(review("film"))


@pytest.mark.parametrize(("name", "head"), KINDS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(min_size=1, max_size=60), other=st.text(min_size=1, max_size=60), shown=st.booleans())
@example(text="  ", other="\n\t", shown=True)
@example(text="e\u0301 ﬁ \u200b\x00", other="'' `` <s></s> [SEP] <|endoftext|> {text}", shown=True)
@example(text="good [MASK] <mask> <extra_id_0>", other=".", shown=False)
def test_whatever_the_text_prompt_and_mask_stay_in_their_places_and_the_limit_is_kept(
    zoo: Zoo, name: str, head: str, text: str, other: str, shown: bool
) -> None:
    model, first = zoo.load(name, head), TINY[name].first
    patterns = {"masked": PAIR, "seq2seq": PAIR, "causal": "{text_a} {text_b} it was", "embedding": "{text_a} {text_b}"}
    made = template(model, patterns[head], head, limit=50)
    if shown and head != "embedding":
        made.demonstrate([(Row("x", ("good", "film")), "great")])
    encoded = made.encode(Row("x", (text, other)))
    assert len(encoded.ids) <= 50
    assert encoded.cut == 0 or len(encoded.ids) == 50
    assert encoded.ids[first : first + 3] == SLOTS
    if head in ("masked", "seq2seq"):
        assert at_the_mask(model, encoded) == (model.tokenizer.mask_token or "<extra_id_0>")
    if head == "causal":
        assert words(model, encoded.ids[-1:]).strip("Ġ▁") == "was"


@pytest.mark.parametrize(
    ("pattern", "head", "message"),
    [
        ("{text}", "masked", r"must hold \[MASK\] exactly once for head=masked"),
        ("{text}", "seq2seq", r"must hold \[MASK\] exactly once for head=seq2seq"),
        ("[MASK] {text} [MASK]", "masked", r"must hold \[MASK\] exactly once"),
        ("{text} [MASK]", "causal", r"must hold no \[MASK\] for head=causal"),
        ("{text} [MASK]", "embedding", r"must hold no \[MASK\] for head=embedding"),
    ],
)
def test_a_template_with_the_wrong_number_of_masks_is_refused(
    tiny: LanguageModel, pattern: str, head: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        template(tiny, pattern, head)


def test_a_template_whose_fields_are_not_the_examples_is_refused(tiny: LanguageModel) -> None:
    with pytest.raises(InputError, match=r"has no \{text\}, which file:7 has"):
        template(tiny, "It was [MASK]").encode(review("a film"))
    with pytest.raises(InputError, match=r"has \{text_b\}, which file:7 has not"):
        template(tiny, "{text} [MASK] {text_b}").encode(review("a film"))
    with pytest.raises(InputError, match=r"has no \{text_a\}, which file:9 has"):
        template(tiny).encode(Row("x", ("a", "b"), "file:9"))


@pytest.mark.parametrize("field", ["{txt}", "{}", "{text_c}", "{ text }"])
def test_a_field_that_no_example_has_is_refused_with_those_there_are(tiny: LanguageModel, field: str) -> None:
    message = re.escape(f"holds {field}; the fields are {{text}}, or {{text_a}} and {{text_b}}")
    with pytest.raises(InputError, match=message):
        template(tiny, f"{{text}} {field} [MASK]")


def test_more_prompt_ids_than_the_vocabulary_holds_are_refused(tiny: LanguageModel) -> None:
    with pytest.raises(InputError, match=r"prompt_tokens=31 takes the ids 1000 to 1030 and the model knows 1030; pass"):
        template(tiny, slots=31, limit=64)


@pytest.mark.parametrize(
    ("name", "head", "remedy"), [("bert", "masked", "pass head=embedding"), ("t5", "seq2seq", "choose another model")]
)
def test_a_tokenizer_without_a_mask_is_refused(tmp_path: Path, name: str, head: str, remedy: str) -> None:
    folder = build(tmp_path / "maskless", name)
    TINY["llama"].tokenizer().save_pretrained(folder)
    with pytest.raises(InputError, match=f"has no mask token; {remedy}"):
        template(models.load(str(folder), head), REVIEW, head)


LABELS: list[tuple[str, str, bool, list[str]]] = [
    ("bert", "masked", False, ["great", "bad"]),
    ("bert", "masked", True, ["great", "bad"]),
    ("roberta", "masked", False, ["great", "bad"]),
    ("roberta", "masked", True, ["Ġgreat", "Ġbad"]),
    ("gpt2", "causal", True, ["Ġgreat", "Ġbad"]),
    ("qwen2", "causal", False, ["great", "bad"]),
    ("llama", "causal", True, ["▁great", "▁bad"]),
    ("llama", "causal", False, ["▁great", "▁bad"]),
    ("deberta-v2", "masked", False, ["▁great", "▁bad"]),
    ("t5", "seq2seq", True, ["▁great", "▁bad"]),
]


@pytest.mark.parametrize(("name", "head", "leading_space", "expected"), LABELS)
def test_a_label_word_is_its_first_token_as_it_stands_or_as_within_a_sentence(
    zoo: Zoo, name: str, head: str, leading_space: bool, expected: list[str]
) -> None:
    model = zoo.load(name, head)
    tokens = label_tokens(model, ["great", "badly"], leading_space=leading_space)
    assert model.tokenizer.convert_ids_to_tokens(tokens) == expected
    assert all(0 <= token < SIZE for token in tokens)


def test_a_label_word_may_bring_its_own_space(zoo: Zoo) -> None:
    model = zoo.load("roberta", "masked")
    for leading_space, expected in ((False, "Ġgreat great"), (True, "Ġgreat Ġgood")):
        listed = [" great", "great" if not leading_space else " good "]
        tokens = label_tokens(model, listed, leading_space=leading_space)
        assert words(model, tuple(tokens)) == expected


@pytest.mark.parametrize(("leading_space", "other"), [(False, "true"), (True, "false")])
def test_label_words_that_begin_alike_are_refused(tiny: LanguageModel, leading_space: bool, other: str) -> None:
    message = f"'good' and 'goodly' begin with the same token 'good'; choose others, or leading_space={other}"
    with pytest.raises(InputError, match=message):
        label_tokens(tiny, ["good", "bad", "goodly"], leading_space=leading_space)


def test_one_label_word_for_two_labels_is_refused(tiny: LanguageModel) -> None:
    with pytest.raises(InputError, match="two labels have the label word 'good'; choose others"):
        label_tokens(tiny, ["good", "bad", "good"], leading_space=False)


@pytest.mark.parametrize("word", ["", " ", "日本"])
@pytest.mark.parametrize("leading_space", [True, False])
@pytest.mark.parametrize(("name", "head"), [("bert", "masked"), ("xlm-roberta", "masked"), ("t5", "seq2seq")])
def test_a_label_word_without_a_token_is_refused(
    zoo: Zoo, name: str, head: str, word: str, leading_space: bool
) -> None:
    model: Any = zoo.load(name, head)
    with pytest.raises(InputError, match=f"label word {word!r} has no token in model .*; choose another word"):
        label_tokens(model, ["good", word], leading_space=leading_space)
