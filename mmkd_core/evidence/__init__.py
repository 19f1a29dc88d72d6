"""How the book knows what it says: what is run and measured, where its records are, what they show, and the ledger."""
