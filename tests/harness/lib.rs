//! Test bench: real servers, temp worlds, faults.
