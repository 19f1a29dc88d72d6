"""From records to verdicts: how the book knows what it says.

1. `questions/*.py` say which experiments and measurements a table, a figure or a claim is made of (`cases`).
2. `store.Store.rows` looks each up among the records, and keeps what was planned and not run (`store.py`).
3. `compare.compare_all` tests two systems over common seeds and test users, and corrects for their number.
4. `verdicts.better` and its like turn comparisons into +, 0, -, and these into a `Finding` with its sentence.
5. `ledger.judged` judges every `Claim`; `mmkd claims` (`commands/evidence.py`) and the chapters print it.
"""
