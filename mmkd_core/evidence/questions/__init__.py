"""One file for each question of the book, named after its chapter; a file is found, nothing lists it.

Tables 6 and 8, `consumption` and `parameters`, are of the chapter `complexity`.
`QUESTIONS` holds them by their file's name, `TABLES` and `FIGURES` by the name that the command line knows them by.
"""

from importlib import import_module
from pkgutil import iter_modules

from mmkd_core.evidence.question import Question

_MODULES = {name: import_module(f"{__name__}.{name}") for name in sorted(m.name for m in iter_modules(__path__))}
QUESTIONS: dict[str, Question] = {name: module.QUESTION for name, module in _MODULES.items()}
TABLES = {q.table: q for q in sorted(QUESTIONS.values(), key=lambda q: q.table or "") if q.table is not None}
FIGURES = {q.figure: q for q in sorted(QUESTIONS.values(), key=lambda q: q.figure or "") if q.figure is not None}
