"""Controls are named by what they show."""

import pytest
from mmkd_access import unnamed


@pytest.mark.parametrize(
    ("html", "better"),
    [
        ('<summary aria-label="Toggle hidden content">\n<p>Show</p>', "<summary>\n<p>Show</p>"),
        (
            '<button class="btn search-button-field x" title="Search" aria-label="Search" data-a="b">',
            '<button class="btn search-button-field x" title="Search" data-a="b">',
        ),
        (
            '<i class="theme-switch fa-sun" data-mode="light"  title="Light"></i>',
            '<i class="theme-switch fa-sun" data-mode="light" ></i>',
        ),
        ('<div class="citation" role="doc-biblioentry">', '<div class="citation" role="listitem">'),
        ('<button class="btn" aria-label="Search">', '<button class="btn" aria-label="Search">'),
        ('<summary aria-label="Other">', '<summary aria-label="Other">'),
    ],
)
def test_a_label_that_differs_from_what_is_shown_goes(html, better):
    assert unnamed(html) == better
