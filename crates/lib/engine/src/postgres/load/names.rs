//! The names that pilotfish gives to its schemas, derived from those they stand for.

/// The schema of the ledger.
pub(super) const LEDGER: &str = "pilotfish";

/// The schema of what undoes the last change in place.
pub(super) const WAY_BACK: &str = "pilotfish_back";

/// Every name that is ours begins so.
const OWN: &str = "pilotfish_";

/// Longest identifier in bytes (`NAMEDATALEN` less one): the server cuts longer ones, silently.
const LONGEST: usize = 63;

/// What a schema of ours holds for the live one that it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The release that is being staged.
    Next,
    /// What a rollback brings back.
    Previous,
    /// What nothing brings back: waits to be dropped.
    Gone,
}

impl Part {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Next => "pilotfish_next_",
            Self::Previous => "pilotfish_prev_",
            Self::Gone => "pilotfish_gone_",
        }
    }

    /// The schema that stands for the live `schema`.
    pub(super) fn of(self, schema: &str) -> String {
        shortened(self.prefix(), schema, "")
    }

    /// Whether a schema is one of these.
    pub(super) fn is(self, schema: &str) -> bool {
        schema.starts_with(self.prefix())
    }

    /// The schema of another part for the same live one; `None` where `schema` is not of this part.
    pub(super) fn turned(self, schema: &str, into: Self) -> Option<String> {
        let rest = schema.strip_prefix(self.prefix())?;
        Some(format!("{}{rest}", into.prefix()))
    }
}

/// A name between a head and an end, cut where all of it is too long; then a mark keeps names apart.
pub(super) fn shortened(head: &str, name: &str, end: &str) -> String {
    let room = LONGEST - head.len() - end.len();
    if name.len() <= room {
        return format!("{head}{name}{end}");
    }
    let mark = format!("_{:08x}", fnv1a(name.as_bytes()));
    let mut cut = room - mark.len();
    while !name.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{head}{}{mark}{end}", &name[..cut])
}

/// Whether a schema belongs to pilotfish.
pub(super) fn is_ours(schema: &str) -> bool {
    schema == LEDGER || schema.starts_with(OWN)
}

/// Whether a schema is a part of a release; in the ledger's own an account of its name makes things unawares, since its
/// search path begins there.
pub(super) fn is_part(schema: &str) -> bool {
    schema.starts_with(OWN)
}

/// Whether a schema belongs to the server: nobody else may make one of that name.
pub(super) fn is_system(schema: &str) -> bool {
    schema == "information_schema" || schema.starts_with("pg_")
}

/// FNV-1a, 32 bits: the name must be the same in every version of pilotfish.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_stay_within_the_limit_and_apart() {
        assert_eq!(Part::Next.of("app"), "pilotfish_next_app");
        let (a, b) = ("ä".repeat(31) + "a", "ä".repeat(31) + "b");
        assert!(Part::Next.of(&a).len() <= LONGEST);
        assert_ne!(Part::Next.of(&a), Part::Next.of(&b));
        let turned = Part::Previous.turned(&Part::Previous.of(&a), Part::Gone);
        assert_eq!(turned, Some(Part::Gone.of(&a)));
    }
}
