"""What serves: the student beside its teacher, whose final tables could be kept instead."""

from mmkd_core.evidence.question import Claim, Question
from mmkd_core.evidence.questions import comparison
from mmkd_core.evidence.verdicts import better

cases = comparison.cases  # the systems of Table 4: their size and quality are in the same records

CLAIMS = {
    "student and teacher": Claim(
        "the student keeps the teacher's accuracy (loses at most 2 % of its Recall@20)", "Sec. 1; Sec. 6",
        better(cases, "system", comparison.MMKD, comparison.TEACHER, share=-0.02), "Accuracy", "serving",
    ),
}  # fmt: skip

QUESTION = Question(cases, claims=CLAIMS)
