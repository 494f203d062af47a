//! pilotfish volume.
