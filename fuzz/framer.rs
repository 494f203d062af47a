//! Whatever the bytes, and however they are cut into reads, the framer ends with the same answer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pilotfish_dump::however_cut::fuzz(data));
