//! pilotfish dump.
