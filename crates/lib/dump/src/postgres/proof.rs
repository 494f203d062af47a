//! What proves that a dump is whole: pg_dump and pg_dumpall say at the end that they are done.

const DUMP: &[u8] = b"-- PostgreSQL database dump";
const CLUSTER: &[u8] = b"-- PostgreSQL database cluster dump";
const COMPLETE: &[u8] = b" complete";

/// What one file has said about its beginning and end.
#[derive(Debug, Default)]
pub(crate) struct Proof {
    dump: Stage,
    cluster: Stage,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Silent,
    Announced,
    Complete,
}

impl Proof {
    /// Reads a comment line that stands between two statements.
    ///
    /// # Errors
    /// Where a second dump begins although the first is not complete.
    pub(crate) fn comment(&mut self, line: &[u8]) -> Result<(), String> {
        let line = line.trim_ascii_end();
        for (head, stage) in [(DUMP, &mut self.dump), (CLUSTER, &mut self.cluster)] {
            match line.strip_prefix(head) {
                Some(b"") if *stage == Stage::Announced => return Err(missing(head)),
                Some(b"") => *stage = Stage::Announced,
                Some(rest) if rest == COMPLETE => *stage = Stage::Complete,
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether the file is one of pg_dumpall.
    pub(crate) fn is_cluster(&self) -> bool {
        self.cluster != Stage::Silent
    }

    /// A definition or rows come: a last line before them was that of another dump.
    pub(crate) fn goes_on(&mut self) {
        if self.cluster == Stage::Complete {
            self.cluster = Stage::Silent;
        }
        if self.dump == Stage::Complete {
            self.dump = Stage::Silent;
        }
    }

    /// At the file's end: whether anything proved it.
    ///
    /// # Errors
    /// What was announced and is missing.
    pub(crate) fn finish(&self) -> Result<bool, String> {
        for (head, stage) in [(DUMP, self.dump), (CLUSTER, self.cluster)] {
            if stage == Stage::Announced {
                return Err(missing(head));
            }
        }
        Ok(self.dump == Stage::Complete || self.cluster == Stage::Complete)
    }
}

fn missing(head: &[u8]) -> String {
    let head = String::from_utf8_lossy(head);
    format!("its last line `{head} complete` is missing")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &[&str]) -> Result<bool, String> {
        let mut proof = Proof::default();
        for line in lines {
            match line.strip_prefix("--") {
                Some(_) => proof.comment(line.as_bytes())?,
                None => proof.goes_on(),
            }
        }
        proof.finish()
    }

    #[test]
    fn dumps_say_that_they_are_complete() {
        let (head, tail) = (
            "-- PostgreSQL database dump\r",
            "-- PostgreSQL database dump complete",
        );
        let (all, done) = (
            "-- PostgreSQL database cluster dump",
            "-- PostgreSQL database cluster dump complete",
        );
        assert_eq!(told(&[head, "x", tail]), Ok(true));
        assert_eq!(told(&["x"]), Ok(false));
        assert_eq!(told(&[head, "x", tail, "x"]), Ok(false));
        assert_eq!(told(&[all, "x", head, "x", tail, done]), Ok(true));
        assert!(told(&[head, "x"]).is_err());
        assert!(told(&[head, "x", head, "x", tail]).is_err());
        assert!(told(&[all, "x", head, "x", tail]).is_err());
    }
}
