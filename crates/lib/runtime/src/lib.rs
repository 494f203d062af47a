//! pilotfish runtime.
