"""What serves: the student beside its teacher, whose final tables could be kept instead."""

from mmkd_core.evidence.question import Question, claims
from mmkd_core.evidence.questions import comparison, consumption
from mmkd_core.evidence.verdicts import better

cases = comparison.cases  # the systems of Table 4: their size and quality are in the same records

RULES = {
    "student and teacher": better(cases, "system", comparison.MMKD, comparison.TEACHER, share=-0.02),
    "serving": consumption.at_most("served", 0.9, lambda v: v["numbers"]["served"], [consumption.TEACHER]),
}
QUESTION = Question(cases, claims=claims(RULES))
