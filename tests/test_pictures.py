"""The pictures of docs/inspecting.md: each command line still runs, and the page shows each picture."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests import pictures
from tests.pictures import PICTURES, Picture

PAGE = (pictures.ROOT / "docs/inspecting.md").read_text()
SHOWN = {
    "timeline": "waits for signal approve",
    "steps": "RESULT",
    "tree": "A-18/package#2/sticker",
    "events": "COMMIT",
    "io": '"number": 4711',
    "error": "in step print_label:",
    "step": "A-17:1:charge",
    "replay": "DIVERGED",
    "fork": "charge",
}


@pytest.fixture(scope="module")
def written() -> dict[str, str]:
    found: dict[str, str] = {}

    def keep(picture: Picture, text: str) -> None:
        found[picture.name] = text

    pictures.draw(keep)
    return found


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_picture_is_drawn_from_a_command_that_runs(picture: Picture, written: dict[str, str]) -> None:
    text = written[picture.name]
    assert SHOWN[picture.name] in re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert str(Path.cwd()) not in text
    drawn = ET.fromstring(pictures.svg(picture, text))
    assert "".join(drawn.itertext()).count("ergon") >= 1


def test_page_shows_each_picture_that_there_is_and_no_other() -> None:
    names = {picture.name for picture in PICTURES}
    assert set(re.findall(r"\]\(pictures/(\w+)\.svg\)", PAGE)) == names
    assert {path.stem for path in pictures.FOLDER.iterdir()} == names


def test_pictures_fetch_nothing_and_name_no_folder_of_the_machine() -> None:
    for path in pictures.FOLDER.iterdir():
        text = path.read_text()
        assert "url(" not in text.replace("url(#", "")
        assert str(pictures.ROOT) not in text
