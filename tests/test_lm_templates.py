import pytest

from dfo_bench.core import InputError
from dfo_bench.lm import models
from dfo_bench.lm.data import Row
from dfo_bench.lm.models import LanguageModel
from dfo_bench.lm.templates import Template, label_tokens
from tests.tiny_lm import VOCABULARY, build

REVIEW = "{text} . it was [MASK] ."


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return models.load(str(build(tmp_path_factory.mktemp("models") / "tiny")), "masked")


def template(
    model: LanguageModel, pattern: str = REVIEW, masked: bool = True, slots: int = 3, limit: int = 40
) -> Template:
    return Template(model, pattern, masked=masked, slots=slots, lead=" . " if slots else "", limit=limit)


def words(ids: tuple[int, ...]) -> str:
    return " ".join(VOCABULARY[i] for i in ids)


def test_the_prompt_follows_the_first_special_token_and_the_mask_is_found(tiny: LanguageModel) -> None:
    encoded = template(tiny).encode(Row("x", ("A film",)))
    assert encoded.ids[:4] == (VOCABULARY.index("[CLS]"), 1000, 1001, 1002)
    assert words(encoded.ids[4:]) == ". a film . it was [MASK] . [SEP]"
    assert encoded.mask is not None
    assert VOCABULARY[encoded.ids[encoded.mask]] == "[MASK]"
    assert (encoded.cut, encoded.text_bytes) == (0, len("A film . it was [MASK] ."))


def test_without_slots_nothing_stands_before_the_text(tiny: LanguageModel) -> None:
    encoded = template(tiny, slots=0).encode(Row("x", ("a film",)))
    assert words(encoded.ids) == "[CLS] a film . it was [MASK] . [SEP]"


def test_a_mask_written_in_the_text_is_not_the_mask(tiny: LanguageModel) -> None:
    encoded = template(tiny).encode(Row("x", ("a [MASK] film",)))
    assert encoded.mask == len(encoded.ids) - 3


def test_truncation_cuts_the_end_of_the_text_and_keeps_mask_and_specials(tiny: LanguageModel) -> None:
    encoded = template(tiny, limit=14).encode(Row("x", ("film " * 30,)))
    assert words(encoded.ids[4:]) == ". film film film . it was [MASK] . [SEP]"
    assert (len(encoded.ids), encoded.cut, encoded.mask) == (14, 27, 11)


def test_of_a_pair_the_longer_is_cut_first(tiny: LanguageModel) -> None:
    pair = Row("x", ("good " * 9, "bad bad"))
    encoded = template(tiny, "{text_a} ? [MASK] , {text_b}", slots=0, limit=10).encode(pair)
    assert words(encoded.ids) == "[CLS] good good good ? [MASK] , bad bad [SEP]"
    encoded = template(tiny, "{text_a} ? [MASK] , {text_b}", slots=0, limit=7).encode(pair)
    assert len(encoded.ids) == 7
    assert encoded.mask is not None
    assert VOCABULARY[encoded.ids[encoded.mask]] == "[MASK]"


def test_the_room_for_text_is_what_the_template_and_the_prompt_leave(tiny: LanguageModel) -> None:
    limit = 20
    made = template(tiny, limit=limit)
    longest = made.encode(Row("x", ("a " * made.room,)))
    assert (len(longest.ids), longest.cut) == (limit, 0)


@pytest.mark.parametrize(
    ("pattern", "masked", "message"),
    [
        ("{text}", True, "exactly once"),
        ("[MASK] {text} [MASK]", True, "exactly once"),
        ("{text} [MASK]", False, r"no \[MASK\]"),
    ],
)
def test_a_template_with_the_wrong_number_of_masks_is_refused(
    tiny: LanguageModel, pattern: str, masked: bool, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        template(tiny, pattern, masked)


def test_a_template_whose_fields_are_not_the_examples_is_refused(tiny: LanguageModel) -> None:
    row = Row("x", ("a film",), "file:7")
    with pytest.raises(InputError, match=r"has no \{text\}, which file:7 has"):
        template(tiny, "{txt} [MASK]").encode(row)
    with pytest.raises(InputError, match=r"has \{text_b\}, which file:7 has not"):
        template(tiny, "{text} [MASK] {text_b}").encode(row)


def test_more_prompt_ids_than_the_vocabulary_holds_are_refused(tiny: LanguageModel) -> None:
    with pytest.raises(InputError, match=r"ids 1000 to 1030 and the model knows 1030"):
        template(tiny, slots=31)


def test_a_label_word_is_its_first_token(tiny: LanguageModel) -> None:
    assert label_tokens(tiny, ["good", "badly"]) == [VOCABULARY.index("good"), VOCABULARY.index("bad")]


def test_label_words_without_or_with_one_token_between_them_are_refused(tiny: LanguageModel) -> None:
    with pytest.raises(InputError, match="label words 'good' and 'goodly' begin with the same token 'good'"):
        label_tokens(tiny, ["good", "bad", "goodly"])
    for word in ("日本", "", " "):
        with pytest.raises(InputError, match=f"label word {word!r} has no token"):
            label_tokens(tiny, ["good", word])
