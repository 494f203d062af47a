//! Which account, where it is, and what proves to be allowed in: variables as Azure's own tools and
//! the webhook of workload identity name them.

use std::fmt;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;

use super::address::{CLOUDS, is_azures};
use super::identity::{Identity, Way};
use crate::{Error, Options, is_plain_address};

/// Where tokens come from, unless the cloud is another one.
const AUTHORITY: &str = "https://login.microsoftonline.com";
/// Where a machine of the cloud asks for its own identity.
const METADATA: &str = "http://169.254.169.254";

/// What flags and environment say. `Debug` shows no secret.
#[derive(Clone, Default)]
pub(crate) struct Settings {
    endpoint: Option<String>,
    account: Option<String>,
    key: Option<String>,
    signature: Option<String>,
    tenant: Option<String>,
    client: Option<String>,
    client_secret: Option<String>,
    token_file: Option<PathBuf>,
    authority: Option<String>,
    metadata: Option<String>,
}

/// A container's place, and the way into it.
pub(super) struct Place {
    /// Empty where an endpoint names none.
    pub(super) account: String,
    pub(super) container: Url,
    pub(super) access: Access,
}

/// What is shown with a request.
pub(super) enum Access {
    /// Nothing: the container is public.
    Anyone,
    /// Nothing, since there is nothing.
    Nobody,
    /// The account's key, which signs.
    Key(Vec<u8>),
    /// A shared access signature: a part of the query.
    Signature(String),
    /// A token.
    Identity(Box<Identity>),
}

impl Settings {
    pub(crate) fn read(get: &impl Fn(&str) -> Option<String>, endpoint: Option<String>) -> Self {
        let either = |a: &str, b: &str| get(a).or_else(|| get(b));
        Self {
            endpoint: endpoint.or_else(|| get("AZURE_STORAGE_ENDPOINT")),
            account: either("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"),
            key: either("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_KEY"),
            signature: get("AZURE_STORAGE_SAS_TOKEN"),
            tenant: get("AZURE_TENANT_ID"),
            client: get("AZURE_CLIENT_ID"),
            client_secret: get("AZURE_CLIENT_SECRET"),
            token_file: get("AZURE_FEDERATED_TOKEN_FILE").map(PathBuf::from),
            authority: get("AZURE_AUTHORITY_HOST"),
            metadata: get("AZURE_POD_IDENTITY_AUTHORITY_HOST"),
        }
    }

    /// What cannot work, whatever the address. Values are not repeated.
    pub(crate) fn mistake(&self) -> Option<String> {
        let is_wrong = |url: &Option<String>| url.as_ref().is_some_and(|it| !is_plain_address(it));
        let variable = if is_wrong(&self.authority) {
            "AZURE_AUTHORITY_HOST"
        } else if is_wrong(&self.metadata) {
            "AZURE_POD_IDENTITY_AUTHORITY_HOST"
        } else {
            return None;
        };
        Some(format!(
            "{variable} is no plain address: write https://host, without user or password"
        ))
    }

    /// Where a container lies, in the account of `host` if the address names one.
    pub(super) fn place(
        &self,
        host: Option<&str>,
        container: &str,
        options: &Options,
    ) -> Result<Place, Error> {
        let account = self.account(host)?;
        let base = match (&self.endpoint, host, account.as_str()) {
            (Some(endpoint), ..) => endpoint.trim_end_matches('/').to_owned(),
            (None, Some(host), _) => format!("https://{host}"),
            (None, None, "") => {
                return Err(Error::Config(format!(
                    "open az://{container}/: in which account? set AZURE_STORAGE_ACCOUNT_NAME, or \
                     write az://ACCOUNT.blob.core.windows.net/{container}/"
                )));
            }
            (None, None, account) => format!("https://{account}{}", CLOUDS[0]),
        };
        let container = Url::parse(&format!("{base}/{container}")).ok();
        let container = container.filter(|_| is_plain_address(&base));
        Ok(Place {
            access: self.access(&account, options)?,
            account,
            container: container.ok_or_else(|| {
                Error::Config(
                    "the endpoint of AZURE_STORAGE_ENDPOINT is no plain address: write \
                     http://host:port/ACCOUNT, without user or password"
                        .to_owned(),
                )
            })?,
        })
    }

    /// The account's name: from the address, a variable, or the endpoint; empty when none says.
    fn account(&self, host: Option<&str>) -> Result<String, Error> {
        let addressed = host.map(first_label);
        if let (Some(addressed), Some(account)) = (&addressed, &self.account)
            && addressed != account
            && (self.key.is_some() || self.signature.is_some())
        {
            // What opens one account is not for another one.
            return Err(Error::Config(format!(
                "open az://{}/: the credentials in the environment are of the account {account}",
                host.unwrap_or_default()
            )));
        }
        let account = addressed
            .or_else(|| self.account.clone())
            .or_else(|| self.accounts_endpoint());
        let account = account.unwrap_or_default();
        if account.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            Ok(account)
        } else {
            Err(Error::Config(
                "the account of AZURE_STORAGE_ACCOUNT_NAME or of the endpoint is none: it has letters \
                 and digits only"
                    .to_owned(),
            ))
        }
    }

    /// `http://azurite:10000/ACCOUNT`, `https://ACCOUNT.blob.core.windows.net`.
    fn accounts_endpoint(&self) -> Option<String> {
        let url = Url::parse(self.endpoint.as_ref()?).ok()?;
        let first = url.path_segments()?.next().unwrap_or_default().to_owned();
        let host = url.host_str().filter(|host| is_azures(host));
        host.map(first_label)
            .or_else(|| Some(first).filter(|name| !name.is_empty()))
    }

    fn access(&self, account: &str, options: &Options) -> Result<Access, Error> {
        if options.anonymous {
            return Ok(Access::Anyone);
        }
        if let Some(key) = &self.key {
            let key = STANDARD.decode(key.trim());
            let key = key.map_err(|_| {
                Error::Config("the key in AZURE_STORAGE_ACCOUNT_KEY is no base64".to_owned())
            })?;
            return if account.is_empty() {
                Err(Error::Config(
                    "AZURE_STORAGE_ACCOUNT_NAME is missing beside the account's key".to_owned(),
                ))
            } else {
                Ok(Access::Key(key))
            };
        }
        if let Some(signature) = &self.signature {
            let signature = signature.trim().trim_start_matches('?');
            return if signature.contains("sig=")
                && signature.bytes().all(|it| it.is_ascii_graphic())
            {
                Ok(Access::Signature(signature.to_owned()))
            } else {
                Err(Error::Config(
                    "AZURE_STORAGE_SAS_TOKEN is no SAS token: it looks like sv=...&sig=..."
                        .to_owned(),
                ))
            };
        }
        let way = match (&self.tenant, &self.client, &self.token_file) {
            (Some(tenant), Some(client), Some(file)) => Way::Federated {
                url: self.token_url(tenant)?,
                client: client.clone(),
                file: file.clone(),
            },
            (Some(tenant), Some(client), None) if self.client_secret.is_some() => Way::Secret {
                url: self.token_url(tenant)?,
                client: client.clone(),
                secret: self.client_secret.clone().unwrap_or_default(),
            },
            // The cloud's metadata service knows no identity for a store of one's own, and is waited
            // for in vain outside the cloud.
            _ if self.endpoint.as_deref().is_some_and(is_ones_own) => return Ok(Access::Nobody),
            _ => Way::Managed {
                url: self.metadata_url()?,
            },
        };
        Ok(Access::Identity(Box::new(Identity::new(way, options)?)))
    }

    fn token_url(&self, tenant: &str) -> Result<Url, Error> {
        let authority = self.authority.as_deref().unwrap_or(AUTHORITY);
        let authority = authority.trim_end_matches('/');
        let tenant = super::encoded(tenant, b"");
        Url::parse(&format!("{authority}/{tenant}/oauth2/v2.0/token"))
            .map_err(|error| Error::Config(format!("AZURE_AUTHORITY_HOST: {error}")))
    }

    fn metadata_url(&self) -> Result<Url, Error> {
        let host = self.metadata.as_deref().unwrap_or(METADATA);
        let client = self.client.as_deref();
        let client = client.map_or(String::new(), |client| {
            format!("&client_id={}", super::encoded(client, b""))
        });
        Url::parse(&format!(
            "{}/metadata/identity/oauth2/token?api-version=2018-02-01\
             &resource=https%3A%2F%2Fstorage.azure.com%2F{client}",
            host.trim_end_matches('/')
        ))
        .map_err(|error| Error::Config(format!("AZURE_POD_IDENTITY_AUTHORITY_HOST: {error}")))
    }
}

/// The account that a host of Azure's is named after; its readable copy has a name of its own, not
/// another account.
fn first_label(host: &str) -> String {
    let label = host.split('.').next().unwrap_or_default();
    label.trim_end_matches("-secondary").to_owned()
}

/// Whether this endpoint is none of the cloud's.
fn is_ones_own(endpoint: &str) -> bool {
    let url = Url::parse(endpoint).ok();
    !url.is_some_and(|url| url.host_str().is_some_and(is_azures))
}

/// Names only: values may be secrets.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("account", &self.account)
            .field("key", &self.key.is_some())
            .field("signature", &self.signature.is_some())
            .field("token_file", &self.token_file)
            .finish_non_exhaustive()
    }
}
