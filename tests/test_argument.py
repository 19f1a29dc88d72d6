"""The picture of the argument: a mark per claim of the ledger, and words that its verdicts bear."""

import re
from pathlib import Path
from xml.etree import ElementTree

import argument
import pandas as pd
import pytest
import yaml

from mmkd_core.evidence.ledger import anchor, argument_file, claims, page
from mmkd_core.evidence.verdicts import VERDICTS

HELD = {name: verdict for step in argument.STEPS.values() for name, verdict in step.holds.items()}
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def ledger():
    """A ledger of all claims, whose verdicts are those that the words rest on, and every other kind among the rest."""
    rows = {name: {"topic": claim.topic, "claim": f"<{name} & more>"} for name, claim in claims().items()}
    made = pd.DataFrame.from_dict(rows, orient="index")
    others = (verdict for _ in rows for verdict in VERDICTS)
    return made.assign(
        verdict=[HELD.get(name) or next(others) for name in rows],
        notebook=[claim.notebook for claim in claims().values()],
    )


def whole(ledger):
    return ElementTree.fromstring(argument.pictures(ledger)["argument.svg"])


def test_each_claim_is_a_link_to_its_row_that_says_claim_and_verdict(ledger):
    links = whole(ledger).findall(f"{SVG}a")
    assert [link.get("href") for link in links] == [f"{argument.LEDGER}#{anchor(name)}" for name in ledger.index]
    told = [f"{row.claim}: {row.verdict}" for row in ledger.itertuples()]
    assert [link.get("aria-label") for link in links] == [link.find(f".//{SVG}title").text for link in links] == told
    rows = ledger.assign(where="Sec. 1", measured=[("1",)] * len(ledger), behind="x", records=[()] * len(ledger))
    there = re.findall(r'<span id="([^"]+)">', page(rows.assign(notebook="n")))
    assert there == [anchor(name) for name in ledger.index]
    assert len(set(there)) == len(there)


def test_marks_lie_inside_the_picture_side_by_side(ledger):
    tree = whole(ledger)
    width, height = map(int, tree.get("viewBox").split()[2:])
    moved = [re.findall(r"\d+", group.get("transform")) for group in tree.iter(f"{SVG}g")]
    places = [(int(x), int(y)) for x, y in moved]
    assert len(set(places)) == len(places) == len(ledger) + ledger["verdict"].nunique()
    assert all(argument.RADIUS <= x <= width - argument.RADIUS and y <= height - argument.RADIUS for x, y in places)
    near = min(max(abs(x - a), abs(y - b)) for i, (x, y) in enumerate(places) for a, b in places[:i])
    assert near >= 24  # pixels of one target, WCAG 2.2


def test_each_topic_leads_to_the_chapters_that_decide_it(ledger):
    there = [link.get("href") for link in whole(ledger).iter(f"{SVG}a") if link.get("class") == "chapter"]
    decided = ledger.groupby("topic", sort=False)["notebook"].unique()
    assert there == [f"{argument.CHAPTERS}/{name}.html" for names in decided for name in names]


def test_each_topic_heads_one_part_of_the_book(ledger):
    pictures, parts = argument.pictures(ledger), yaml.safe_load(Path("_toc.yml").read_text())["parts"]
    assert set(argument.PARTS) <= {part["caption"] for part in parts}
    assert sorted(topic for topics in argument.PARTS.values() for topic in topics) == sorted(argument.STEPS)
    for part, topics in argument.PARTS.items():
        links = ElementTree.fromstring(pictures[argument_file(part)]).findall(f"{SVG}a")
        claimed = ledger.index[ledger["topic"].isin(topics)]
        assert [link.get("href") for link in links] == [f"{argument.LEDGER}#{anchor(name)}" for name in claimed]


def test_words_that_the_verdicts_no_longer_bear_are_an_error(ledger):
    ledger.loc["best", "verdict"] = "reproduced"
    with pytest.raises(ValueError, match="Accuracy, best: got 'reproduced', the words are for 'not reproduced'"):
        argument.pictures(ledger)
    with pytest.raises(ValueError, match="Cost, serving: got 'no such claim'"):
        argument.pictures(ledger.drop("serving"))
    ledger["topic"] = ledger["topic"].replace("Settings", "Colours")
    with pytest.raises(ValueError, match="Colours: has no words"):
        argument.pictures(ledger)
