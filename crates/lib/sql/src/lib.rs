//! pilotfish sql.
