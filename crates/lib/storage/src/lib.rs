//! pilotfish storage.
