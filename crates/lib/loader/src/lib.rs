//! pilotfish loader.
