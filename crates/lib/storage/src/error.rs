//! What can go wrong between here and an object.

use std::time::Duration;

use pilotfish_failure::{Classify, Kind};

/// A failure of a storage, by meaning. Messages name objects without credentials.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be read.
    #[error("read the address {address:?}: {problem}")]
    Address {
        /// The address without credentials.
        address: String,
        /// How to write it.
        problem: String,
    },
    /// The options cannot work.
    #[error("{0}")]
    Config(String),
    /// There is no such object (now).
    #[error("read {object}: there is no such object")]
    NotFound {
        /// The object's address.
        object: String,
    },
    /// There is no such bucket (now).
    #[error("read {object}: there is no such bucket")]
    NoBucket {
        /// The object's address.
        object: String,
    },
    /// There is no such container (now).
    #[error("read {object}: there is no such container")]
    NoContainer {
        /// The object's address.
        object: String,
    },
    /// Credentials are missing, wrong, expired or not sufficient.
    #[error("read {object}: denied: {reason}")]
    Denied {
        /// The object's address.
        object: String,
        /// The server's words.
        reason: String,
    },
    /// The object has another version than the one asked for.
    #[error("read {object}: it changed while it was read")]
    Changed {
        /// The object's address.
        object: String,
    },
    /// No answer, half an answer, or a server that says to come back later.
    #[error("read {object}: {reason}")]
    Unreachable {
        /// The object's address.
        object: String,
        /// What happened instead of an answer.
        reason: String,
        /// When the server wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The server's certificate is not one to trust: no request was made.
    #[error("read {object}: the server's certificate is not trusted: {reason}")]
    Untrusted {
        /// The object's address.
        object: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The server answers, and asking again will not help.
    #[error("read {object}: refused: {reason}")]
    Refused {
        /// The object's address.
        object: String,
        /// The server's words.
        reason: String,
    },
}

impl Error {
    pub(crate) fn unreachable(object: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Unreachable {
            object: object.into(),
            reason: reason.into(),
            retry_after: None,
        }
    }

    /// What a person should look at first, where the message does not say it.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotFound { .. } => {
                Some("look at the URL: host, bucket, key; or the object was not published yet")
            }
            Self::NoBucket { .. } => {
                Some("look at the bucket's name and at --endpoint; or it was not made yet")
            }
            Self::NoContainer { .. } => {
                Some("look at the names of container and account; or it was not made yet")
            }
            Self::Denied { .. } => Some("look at the credentials and at what they may read"),
            Self::Untrusted { .. } => {
                Some("give --ca-file with the authority that signed it, or mend the certificate")
            }
            Self::Unreachable { .. } => {
                Some("look at the host in the URL or --endpoint, at proxies, and at the source")
            }
            _ => None,
        }
    }

    /// Whether the same request may succeed in a moment.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Address { .. } | Self::Config(_) | Self::Refused { .. } => Kind::Config,
            Self::Denied { .. } => Kind::Denied,
            // An object that is not there may come: whoever waits for it retries.
            // So may a good certificate: to be away is the source's part, not the configuration's.
            Self::NotFound { .. }
            | Self::NoBucket { .. }
            | Self::NoContainer { .. }
            | Self::Changed { .. }
            | Self::Untrusted { .. }
            | Self::Unreachable { .. } => Kind::Unreachable,
        }
    }
}
