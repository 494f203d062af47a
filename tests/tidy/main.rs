//! The house rules that no compiler checks.
