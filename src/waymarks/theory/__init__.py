"""Section 2 of the paper and its appendix A, as code that checks itself.

The network, the distributions, each lemma in closed form and by enumeration, the procedure of
Theorem 1 with practical settings, and its bounds as stated and corrected. `verify.rows` makes
every check; `docs/theory.md` derives what is new here.
"""
