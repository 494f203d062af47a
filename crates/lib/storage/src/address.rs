//! Addresses of objects: `s3://bucket/key`, `az://container/key`, `https://host/path`, `file:///path`.

use std::fmt;
use std::path::{Component, Path};

use reqwest::Url;

use crate::{Error, azure};

/// Where an object lies, or, with a `/` at the end, a folder of objects.
#[derive(Clone, PartialEq, Eq)]
pub enum Address {
    /// A blob in Azure Storage.
    Azure {
        /// `ACCOUNT.blob.core.windows.net` and the like; without it the settings name the account.
        host: Option<String>,
        /// The container's name.
        container: String,
        /// The blob's name, without a leading `/`; empty for the whole container.
        key: String,
    },
    /// A path of the local file system.
    File {
        /// The absolute path.
        path: String,
    },
    /// An object behind http or https.
    Http {
        /// The whole address, perhaps with a password or a signature in it.
        url: Url,
    },
    /// An object in an S3 bucket.
    S3 {
        /// The bucket's name.
        bucket: String,
        /// The object's key, without a leading `/`.
        key: String,
    },
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// [`Error::Address`] saying how to write it.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |problem: &str| Error::Address {
            address: mistaken(text),
            problem: problem.to_owned(),
        };
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(wrong(
                "write s3://bucket/key, az://container/key, https://host/path or file:///path",
            ));
        };
        match scheme {
            "s3" => {
                let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
                if bucket.is_empty() {
                    return Err(wrong("the bucket is missing: write s3://bucket/key"));
                }
                if bucket.contains(['@', ':']) {
                    return Err(wrong("credentials do not belong into an s3 address"));
                }
                let key = if key.is_empty() {
                    "/".to_owned()
                } else {
                    key.to_owned()
                };
                Ok(Self::S3 {
                    bucket: bucket.to_owned(),
                    key,
                })
            }
            "az" => azure::address(rest).map_err(wrong),
            "http" | "https" => match Url::parse(text) {
                Ok(url) if may_be_cut(rest) && url.path().contains('@') => Err(wrong(
                    "behind a port or a password, write @ in a path as %40; \
                     in a password, write / ? # @ as %2F %3F %23 %40",
                )),
                Ok(url) if url.host_str().is_some() => Ok(Self::Http { url }),
                Ok(_) => Err(wrong("the host is missing")),
                Err(error) => Err(wrong(&error.to_string())),
            },
            "file" => {
                let path = rest.strip_prefix("localhost").unwrap_or(rest);
                if !path.starts_with('/') {
                    return Err(wrong("write file:///absolute/path with three slashes"));
                }
                if Path::new(path)
                    .components()
                    .any(|part| part == Component::ParentDir)
                {
                    return Err(wrong("write the path without `..`"));
                }
                Ok(Self::File {
                    path: path.to_owned(),
                })
            }
            _ => Err(wrong("the scheme is not s3, az, https, http or file")),
        }
    }

    /// The key to ask the storage for.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::File { path } => path,
            Self::Http { url } => url.as_str(),
            Self::S3 { key, .. } if key == "/" => "",
            Self::Azure { key, .. } | Self::S3 { key, .. } => key,
        }
    }

    /// Whether the address names a folder of objects to pick one from.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        match self {
            Self::File { path } => path.ends_with('/'),
            Self::Azure { key, .. } => key.is_empty() || key.ends_with('/'),
            Self::Http { .. } => false,
            Self::S3 { key, .. } => key.ends_with('/'),
        }
    }

    /// Whether what opens one of the two addresses may be shown to the other: the same bucket or
    /// container, or the same scheme, host and port.
    #[must_use]
    pub fn shares_origin_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Http { url }, Self::Http { url: other }) => url.origin() == other.origin(),
            (Self::S3 { bucket, .. }, Self::S3 { bucket: other, .. }) => bucket == other,
            (
                Self::Azure {
                    host, container, ..
                },
                Self::Azure {
                    host: other_host,
                    container: other,
                    ..
                },
            ) => host == other_host && container == other,
            (Self::File { .. }, Self::File { .. }) => true,
            _ => false,
        }
    }

    /// The address of another object of the same storage, for people: without credentials.
    #[must_use]
    pub fn display_of(&self, key: &str) -> String {
        match self {
            Self::Azure {
                host: Some(host),
                container,
                ..
            } => format!("az://{host}/{container}/{key}"),
            Self::Azure { container, .. } => format!("az://{container}/{key}"),
            Self::File { .. } => format!("file://{key}"),
            Self::Http { .. } => without_secrets(key),
            Self::S3 { bucket, .. } => format!("s3://{bucket}/{key}"),
        }
    }

    /// The failure of a transfer that ended before all bytes of an object were there.
    #[must_use]
    pub fn cut_short(&self, key: &str, reason: impl Into<String>) -> Error {
        Error::unreachable(self.display_of(key), reason)
    }

    /// The object's own name: what follows the last `/`, without a query.
    #[must_use]
    pub fn name_of(&self, key: &str) -> String {
        match self {
            Self::Http { .. } => {
                let Ok(url) = Url::parse(key) else {
                    return String::new();
                };
                let last = url.path().rsplit('/').next().unwrap_or_default();
                percent_decoded(last)
            }
            _ => key.rsplit('/').next().unwrap_or_default().to_owned(),
        }
    }

    /// The key of an object in the same folder: `..` and `/` in `name` are not followed.
    #[must_use]
    pub fn sibling(&self, key: &str, name: &str) -> String {
        match self {
            Self::Http { .. } => {
                let Ok(mut url) = Url::parse(key) else {
                    return key.to_owned();
                };
                if let Ok(mut segments) = url.path_segments_mut() {
                    segments.pop().push(name);
                }
                url.into()
            }
            _ => {
                let folder = key.rfind('/').map_or(0, |at| at + 1);
                format!("{}{name}", &key[..folder])
            }
        }
    }
}

/// Without credentials.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display_of(self.key()))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An address without user, password, query (signed addresses carry secrets there) and fragment.
pub(crate) fn without_secrets(address: &str) -> String {
    match Url::parse(address) {
        Ok(mut url) if url.has_host() && matches!(url.scheme(), "http" | "https") => {
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.set_query(None);
            url.set_fragment(None);
            url.into()
        }
        _ => mistaken(address),
    }
}

/// Whether the host of `host/path` may be part of a password: its beginning passes for a host or a
/// port, and the rest of it for a path.
fn may_be_cut(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let behind_ipv6 = authority.rsplit(']').next().unwrap_or_default();
    behind_ipv6.contains(':') || authority.contains('@')
}

/// What may be shown of an address that is none: a password in it ends at the last `@`, whatever else
/// is in it. A query ends there as well, or does not: then nothing is shown.
fn mistaken(address: &str) -> String {
    // Proxies are also written as user:password@host:port.
    let (scheme, rest) = match address.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), address),
    };
    let shown = match rest.rsplit_once('@') {
        Some((hidden, _)) if hidden.contains(['?', '#']) => "***",
        Some((_, shown)) => shown,
        None => rest,
    };
    let end = shown.find(['?', '#']).unwrap_or(shown.len());
    format!("{scheme}{}", &shown[..end])
}

/// Decodes `%41` and leaves what is no escape or no UTF-8 as it is.
pub(crate) fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = bytes.get(at + 1..at + 3).and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok()
        });
        match escape {
            Some(byte) if bytes[at] == b'%' => {
                decoded.push(byte);
                at += 3;
            }
            _ => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_know_their_key_name_and_siblings() {
        for (text, key, name, sums) in [
            (
                "s3://b/a/d.sql.gz",
                "a/d.sql.gz",
                "d.sql.gz",
                "a/SHA256SUMS",
            ),
            ("s3://b/d.sql", "d.sql", "d.sql", "SHA256SUMS"),
            ("az://b/a/d.sql", "a/d.sql", "d.sql", "a/SHA256SUMS"),
            (
                "az://me.blob.core.windows.net/b/a/d.sql",
                "a/d.sql",
                "d.sql",
                "a/SHA256SUMS",
            ),
            ("file:///a/d.sql", "/a/d.sql", "d.sql", "/a/SHA256SUMS"),
            (
                "http://h/a/my%20d.sql?x=1",
                "http://h/a/my%20d.sql?x=1",
                "my d.sql",
                "http://h/a/SHA256SUMS?x=1",
            ),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.key(), key);
            assert_eq!(address.name_of(key), name);
            assert_eq!(address.sibling(key, "SHA256SUMS"), sums);
            assert!(!address.is_folder());
        }
        for folder in [
            "s3://bucket",
            "s3://bucket/dumps/",
            "az://b",
            "az://b/dumps/",
        ] {
            assert!(Address::parse(folder).unwrap().is_folder(), "{folder}");
        }
        assert_eq!(Address::parse("s3://bucket").unwrap().key(), "");
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let parse = |text: &str| Address::parse(text).unwrap();
        let ours = parse("https://h/a");
        for (other, shared) in [
            ("https://h:443/b", true),
            ("http://h/b", false),
            ("https://h:444/b", false),
            ("https://sub.h/b", false),
            ("s3://h/b", false),
        ] {
            assert_eq!(ours.shares_origin_with(&parse(other)), shared, "{other}");
        }
        let blob = parse("az://b/a");
        assert!(blob.shares_origin_with(&parse("az://b/c")));
        for other in ["az://c/a", "az://me.blob.core.windows.net/b/a", "s3://b/a"] {
            assert!(!blob.shares_origin_with(&parse(other)), "{other}");
        }
    }

    #[test]
    fn people_never_see_credentials() {
        let address = Address::parse("https://me:secret@h/d.sql?X-Amz-Signature=secret").unwrap();
        assert_eq!(address.to_string(), "https://h/d.sql");
        assert_eq!(format!("{address:?}"), "https://h/d.sql");
        for text in [
            "ftp://me:secret@h/d.sql",
            "me:secret@h/d.sql",
            "s3://AKIA:secret/secret@bucket/k",
            "s3://AKIA:secret?secret@bucket/k",
            "https://me:secret/secret@h/d",
            "https://me:secret?secret@h/d",
            "https://me:secret#secret@h/d",
            "https://me:99/secret@h/d",
            "https://me:443/secret@h/d",
            "https://me:p@99/secret@h/d",
            "ftp://h/d?sign=secret@secret&more=secret",
            "az://b/d.sql?sv=2022&sig=secret",
            "az://me:secret@b/d.sql",
        ] {
            let wrong = Address::parse(text).unwrap_err();
            assert!(!wrong.to_string().contains("secret"), "{wrong}");
        }
        for text in [
            "https://h/a@b/d.sql",
            "https://[::1]/a@b",
            "https://h:8/a%40b",
            "az://b/a@b/d.sql",
            "az://me.blob.core.windows.net/b/d.sql",
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), text);
        }
        let cut = address.cut_short(address.key(), "it ended early");
        assert_eq!(cut.to_string(), "read https://h/d.sql: it ended early");
    }

    #[test]
    fn wrong_addresses_are_refused_with_the_right_form() {
        for text in [
            "dump.sql",
            "s3:///key",
            "file://relative",
            "file:///a/../b",
            "gs://b/k",
            "az:///k",
            "az://B/k",
            "az://me.example.com/b/k",
            "az://evil.com#.blob.core.windows.net/b/k",
        ] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}
