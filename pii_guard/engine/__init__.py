"""Detection over whole columns: text -> tokens -> candidates -> hits -> tallies -> verdicts."""
