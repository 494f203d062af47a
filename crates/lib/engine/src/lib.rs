//! pilotfish engine.
