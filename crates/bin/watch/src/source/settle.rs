//! When plain files count as written: unchanged for a while. Pure.
//!
//! Published releases, ConfigMaps and Secrets appear by one rename and need no waiting.

use std::time::{Duration, Instant};

use pilotfish_volume::Fingerprint;

/// The answer to one look.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Settled {
    Yes,
    /// Look again then; if nothing has changed it is settled.
    At(Instant),
}

/// Remembers since when a fingerprint is unchanged.
#[derive(Debug)]
pub(super) struct Settler {
    patience: Duration,
    unchanged: Option<(Fingerprint, Instant)>,
}

impl Settler {
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            patience,
            unchanged: None,
        }
    }

    pub(super) fn observe(&mut self, now: Instant, found: &Fingerprint) -> Settled {
        if !matches!(found, Fingerprint::Files(_)) {
            self.unchanged = None;
            return Settled::Yes;
        }
        let since = match &self.unchanged {
            Some((before, since)) if before == found => *since,
            _ => {
                self.unchanged = Some((found.clone(), now));
                now
            }
        };
        let due = since + self.patience;
        if now >= due {
            Settled::Yes
        } else {
            Settled::At(due)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilotfish_volume::FileStamp;

    fn files(size: u64) -> Fingerprint {
        let stamp = FileStamp {
            name: "dump.sql".to_owned(),
            size,
            modified_ns: 1,
            changed_ns: 1,
            inode: 7,
        };
        Fingerprint::Files(vec![stamp])
    }

    #[test]
    fn files_settle_once_they_stopped_changing() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut settler = Settler::new(Duration::from_secs(2));
        assert_eq!(settler.observe(at(0), &files(1)), Settled::At(at(2)));
        assert_eq!(settler.observe(at(1), &files(2)), Settled::At(at(3)));
        assert_eq!(settler.observe(at(2), &files(2)), Settled::At(at(3)));
        assert_eq!(settler.observe(at(3), &files(2)), Settled::Yes);
        assert_eq!(settler.observe(at(9), &files(2)), Settled::Yes);
        assert_eq!(settler.observe(at(9), &files(3)), Settled::At(at(11)));
    }

    #[test]
    fn published_releases_need_no_waiting() {
        let mut settler = Settler::new(Duration::from_secs(2));
        let release = Fingerprint::Release("..1".to_owned());
        assert_eq!(settler.observe(Instant::now(), &release), Settled::Yes);
        assert_eq!(
            settler.observe(Instant::now(), &Fingerprint::Empty),
            Settled::Yes
        );
    }
}
