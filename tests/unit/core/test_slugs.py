"""Slugs made from names: letters of any script, never a UUID, always free and short enough."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.slugs import MAX_SLUG, SlugRule, is_uuid
from jobs.slugs import JOB_SLUGS

ID = "6f1d7a0e-5a0b-5c38-9d0c-8a4f4f1c2b7e"
RULE = SlugRule("otherwise")
HEX = ID.replace("-", "")
#: Spellings of the same id, each of which identifies an object.
SPELLINGS = (ID, ID.upper(), HEX, HEX.upper(), f"{{{ID}}}", f"urn:uuid:{ID}", f"6f1d7a0e5a0b-{HEX[12:]}", "-".join(HEX))
names = st.text() | st.text(st.characters(categories=["L", "N", "So"]), min_size=1) | st.sampled_from(SPELLINGS)
hexes = st.text("0123456789abcdef- ", min_size=28, max_size=45)


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Größe & Maß", "grosse-mass"),
        ("Gro\u0308ße", "grosse"),
        ("Crème brûlée à l'été", "creme-brulee-a-l-ete"),
        ("Ærø Łódź Đà Nẵng", "aero-lodz-da-nang"),
        ("Привет, мир", "privet-mir"),
        ("Αθήνα", "athina"),
        ("北京", "beijing"),
        ("\ufb01ne \uff16\uff26 \u2460", "fine-6f-1"),
        ("🚀", "rocket"),
        ("🚀 Deploy 🚀", "rocket-deploy-rocket"),
        ("\u0130stanbul", "istanbul"),
        ("Nightly report", "nightly-report"),
        ("  --Nightly__report-- ", "nightly-report"),
        ("!?", "otherwise"),
        ("", "otherwise"),
        ("\u200b\ue000", "otherwise"),
        ("x" * 200, "x" * 90),
        ("ß" * 200, "s" * 90),
    ],
)
def test_a_slug_keeps_the_letters_of_a_name(name: str, slug: str) -> None:
    assert RULE.make(name, taken=set()) == slug


@pytest.mark.parametrize("name", ["日本語のジョブ", "한국어 작업", "مهمة يومية", "משימה", "งานประจำวัน", "காலை"])
def test_names_in_other_scripts_have_distinct_slugs(name: str) -> None:
    slug = RULE.make(name, taken=set())
    assert RULE.accepts(slug)
    assert slug != "otherwise"


@pytest.mark.parametrize("name", [*SPELLINGS, f"  {ID}  ", f"({ID})", f"{ID[:8]} {ID[9:]}", f"<{HEX}>", HEX[:31]])
def test_a_name_like_an_id_makes_a_slug_unlike_an_id(name: str) -> None:
    taken: set[str] = set()
    for _ in range(12):
        slug = RULE.make(name, taken=taken)
        assert RULE.accepts(slug)
        assert not is_uuid(slug)
        taken.add(slug)
    assert len(taken) == 12


@pytest.mark.parametrize("text", SPELLINGS)
def test_an_id_is_not_a_slug(text: str) -> None:
    assert is_uuid(text)
    assert not RULE.accepts(text)
    assert not RULE.accepts(text.lower())
    assert not JOB_SLUGS.accepts(text)


@given(names | hexes, st.integers(0, 12))
def test_every_generated_slug_is_valid_and_free(name: str, again: int) -> None:
    taken: set[str] = set()
    for _ in range(again + 1):
        slug = RULE.make(name, taken=taken)
        assert RULE.accepts(slug)
        assert slug not in taken
        assert len(slug) <= MAX_SLUG
        assert slug.startswith(RULE.base(name))
        with pytest.raises(ValueError, match=r".*"):
            uuid.UUID(slug)
        taken.add(slug)


@pytest.mark.parametrize("name", ["Import", "export", "\uff25\uff38\uff30\uff2f\uff32\uff34"])
def test_a_reserved_path_segment_is_not_a_job_slug(name: str) -> None:
    assert JOB_SLUGS.make(name, taken=set()) in {"import-2", "export-2"}


@pytest.mark.parametrize("text", ["", "A", "a_b", "a b", "a/b", "ü", "a" * 101, "a\n", "..", "a.b"])
def test_other_texts_are_not_slugs(text: str) -> None:
    assert not RULE.accepts(text)
