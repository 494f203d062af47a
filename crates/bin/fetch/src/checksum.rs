//! What the stored bytes must be, and what they are.

use crc_fast::CrcAlgorithm;
use md5::Md5;
use pilotfish_failure::{Failure, Kind};
use pilotfish_storage::{Address, Checksum, Error, Object, Storage, open, read_small};
use sha2::{Digest, Sha256};

use crate::config::Config;
use crate::retry::{Retry, Retrying};

/// Largest checksum file: 10,000 lines are more than any folder of dumps has.
const LARGEST_FILE: usize = 1 << 20;

/// Where the expected digest comes from.
#[derive(Debug, Clone)]
pub(crate) enum Expected {
    /// From nowhere: only what the storage itself keeps is checked.
    Nothing,
    /// From the command line.
    Sha256(String),
    /// From `<name>.sha256` or `SHA256SUMS` beside the object, if there is one.
    Beside,
    /// From this file.
    From(Address),
}

/// The SHA-256 that the object must have, looked up now; none when nobody says.
pub(crate) async fn expected(
    config: &Config,
    storage: &dyn Storage,
    object: &Object,
    retry: &Retry,
) -> Result<Option<String>, Failure> {
    let address = &config.address;
    let name = address.name_of(&object.key);
    match &config.expected {
        Expected::Nothing => Ok(None),
        Expected::Sha256(hex) => Ok(Some(hex.clone())),
        Expected::From(file) => {
            // What opens the object is not for whoever keeps its checksum.
            let options = if file.shares_origin_with(address) {
                config.storage.clone()
            } else {
                config.storage.without_http_credentials()
            };
            let other = open(file, &options).await?;
            let text = retry
                .run(|| read_small(&*other, file.key(), LARGEST_FILE))
                .await?;
            let file_name = file.name_of(file.key());
            find(&text, &name, file_name == format!("{name}.sha256"))
                .map(Some)
                .ok_or_else(|| no_digest(&file.to_string(), &name))
        }
        Expected::Beside => {
            let mut denied = None;
            for (beside, own) in [
                (format!("{name}.sha256"), true),
                ("SHA256SUMS".into(), false),
            ] {
                let key = address.sibling(&object.key, &beside);
                match retry.run(|| read_small(storage, &key, LARGEST_FILE)).await {
                    Ok(text) => {
                        retry.metrics.checksum_denied.set(0);
                        return find(&text, &name, own)
                            .map(Some)
                            .ok_or_else(|| no_digest(&address.display_of(&key), &name));
                    }
                    Err(Retrying::Storage(Error::NotFound { .. })) => {}
                    // Buckets without the right to list answer 403 for what is not there.
                    Err(Retrying::Storage(error @ Error::Denied { .. })) => denied = Some(error),
                    Err(error) => return Err(error.into()),
                }
            }
            retry
                .metrics
                .checksum_denied
                .set(i64::from(denied.is_some()));
            let object = address.display_of(&object.key);
            match denied {
                None => tracing::warn!(object, "no checksum file beside the object"),
                Some(error) => tracing::warn!(
                    object, %error,
                    "no checksum file beside the object may be read: it is taken without proof; \
                     let the account read *.sha256 and SHA256SUMS, and list the folder"
                ),
            }
            Ok(None)
        }
    }
}

/// Fails when nothing would tell all of the object from its beginning.
pub(crate) fn provable(
    object: &Object,
    address: &str,
    expected: Option<&str>,
) -> Result<(), Failure> {
    if !object.endless || expected.is_some() {
        return Ok(());
    }
    let message = format!(
        "read {address}: the server tells neither its length nor its end: nobody would notice a cut"
    );
    Err(Failure::new(Kind::Unreachable, message)
        .with_hint("give --sha256 or --checksum-from, or let the server send Content-Length"))
}

fn no_digest(file: &str, name: &str) -> Failure {
    Failure::new(
        Kind::BadData,
        format!("read {file}: it has no SHA-256 for {name}"),
    )
    .with_hint("a line is the 64 hex digits, two spaces and the name, as sha256sum writes it")
}

/// The digest of `name` in the words of sha256sum (`hex  name`, `hex *name`), of BSD
/// (`SHA256 (name) = hex`), or bare. In the object's `own` file a single line needs no name.
fn find(text: &[u8], name: &str, own: bool) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<_> = text.lines().filter_map(line).collect();
    let named = lines.iter().find(|(_, named)| {
        named
            .as_deref()
            .is_some_and(|path| path.rsplit('/').next() == Some(name))
    });
    let only = (lines.len() == 1).then(|| &lines[0]);
    let fits = |(_, named): &&(String, Option<String>)| own || named.is_none();
    named
        .or_else(|| only.filter(fits))
        .map(|(hex, _)| hex.clone())
}

fn line(line: &str) -> Option<(String, Option<String>)> {
    let line = line.trim();
    let (hex, name) = if let Some(rest) = line.strip_prefix("SHA256 (") {
        let (name, hex) = rest.rsplit_once(") = ")?;
        (hex, Some(name.to_owned()))
    } else {
        match line.split_once(char::is_whitespace) {
            Some((hex, name)) => (
                hex,
                Some(name.trim_start().trim_start_matches('*').to_owned()),
            ),
            None => (line, None),
        }
    };
    let hex = hex.trim_start_matches('\\').to_ascii_lowercase();
    (hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some((hex, name))
}

/// Digests of bytes that go by: always SHA-256, and what the storage keeps besides.
pub(crate) struct Digests {
    sha256: Sha256,
    crcs: Vec<(Checksum, crc_fast::Digest)>,
    md5: Option<Md5>,
    kept: Vec<Checksum>,
}

impl Digests {
    pub(crate) fn new(object: &Object) -> Self {
        let crcs = object.checksums.iter().filter_map(|kept| {
            let algorithm = match kept {
                Checksum::Crc64Nvme(_) => CrcAlgorithm::Crc64Nvme,
                Checksum::Crc32C(_) => CrcAlgorithm::Crc32Iscsi,
                Checksum::Crc32(_) => CrcAlgorithm::Crc32IsoHdlc,
                Checksum::Sha256(_) | Checksum::Md5(_) => return None,
            };
            Some((kept.clone(), crc_fast::Digest::new(algorithm)))
        });
        let has_md5 = (object.checksums.iter()).any(|kept| matches!(kept, Checksum::Md5(_)));
        Self {
            sha256: Sha256::new(),
            crcs: crcs.collect(),
            md5: has_md5.then(Md5::new),
            kept: object.checksums.clone(),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        for (_, crc) in &mut self.crcs {
            crc.update(bytes);
        }
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
    }

    /// The SHA-256, when everything is as `expected` and as the storage keeps it.
    pub(crate) fn verify(self, object: &str, expected: Option<&str>) -> Result<String, Failure> {
        let sha256 = hex::encode(self.sha256.finalize());
        let wrong = |what: &str, wanted: &str, found: &str| wrong(object, what, wanted, found);
        agree(object, expected, &sha256)?;
        let md5 = self.md5.map(|md5| hex::encode(md5.finalize()));
        for kept in &self.kept {
            match (kept, &md5) {
                (Checksum::Sha256(kept), _) if *kept != sha256 => {
                    return Err(wrong("its SHA-256", kept, &sha256));
                }
                (Checksum::Md5(kept), Some(md5)) if kept != md5 => {
                    return Err(wrong("its MD5", kept, md5));
                }
                _ => {}
            }
        }
        for (kept, crc) in self.crcs {
            let value = crc.finalize();
            let same = match kept {
                Checksum::Crc64Nvme(kept) => kept == value,
                Checksum::Crc32C(kept) | Checksum::Crc32(kept) => u64::from(kept) == value,
                Checksum::Sha256(_) | Checksum::Md5(_) => true,
            };
            if !same {
                let wanted = format!("{kept:?}");
                return Err(wrong("its CRC", &wanted, &format!("{value:x}")));
            }
        }
        Ok(sha256)
    }
}

/// Fails when the SHA-256 of an object is not the expected one, if there is one.
pub(crate) fn agree(object: &str, expected: Option<&str>, sha256: &str) -> Result<(), Failure> {
    match expected {
        Some(expected) if expected != sha256 => Err(wrong(object, "its SHA-256", expected, sha256)),
        _ => Ok(()),
    }
}

fn wrong(object: &str, what: &str, wanted: &str, found: &str) -> Failure {
    let message = format!("verify {object}: {what} is {found}, expected {wanted}");
    Failure::new(Kind::BadData, message)
        .with_hint("the object or its checksum is corrupt or of another version: upload both again")
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    #[test]
    fn digests_are_found_in_every_common_form() {
        let sums = format!("{A}  other.sql\n{B} *dump.sql\n");
        let bsd = format!("SHA256 (other.sql) = {A}\nSHA256 (dump.sql) = {B}\n");
        let upper = B.to_uppercase();
        for (text, own, expected) in [
            (sums.as_str(), false, Some(B)),
            (bsd.as_str(), false, Some(B)),
            (upper.as_str(), true, Some(B)),
            (&format!("{B}  ./dumps/dump.sql"), false, Some(B)),
            (&format!("{B}  renamed.sql"), true, Some(B)),
            (&format!("{B}  renamed.sql"), false, None),
            ("not a digest  dump.sql", true, None),
            ("", true, None),
        ] {
            assert_eq!(
                find(text.as_bytes(), "dump.sql", own).as_deref(),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn what_the_storage_keeps_is_checked() {
        let object = |checksums| Object {
            key: "k".into(),
            size: Some(9),
            version: pilotfish_storage::Version::default(),
            modified: None,
            checksums,
            ranges: true,
            endless: false,
        };
        // The check values of the CRC catalogue for "123456789".
        let right = vec![
            Checksum::Crc64Nvme(0xae8b_1486_0a79_9888),
            Checksum::Crc32C(0xe306_9283),
            Checksum::Crc32(0xcbf4_3926),
            Checksum::Md5("25f9e794323b453885f5181f1b624d0b".into()),
        ];
        let mut digests = Digests::new(&object(right));
        digests.update(b"12345");
        digests.update(b"6789");
        digests.verify("k", None).unwrap();
        for wrong in [Checksum::Crc32C(1), Checksum::Md5("0".repeat(32))] {
            let mut digests = Digests::new(&object(vec![wrong]));
            digests.update(b"123456789");
            assert_eq!(digests.verify("k", None).unwrap_err().kind(), Kind::BadData);
        }
    }
}
