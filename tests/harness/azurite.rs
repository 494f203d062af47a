//! A real Azure Blob server: Azurite's blob service, signatures checked.

use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};

use crate::eventually::eventually;
use crate::process::Child;
use crate::world::{Port, World, cache_dir};

const ACCOUNT: &str = "pilotfish";
/// `pilotfish-secret` in base64.
const KEY: &str = "cGlsb3RmaXNoLXNlY3JldA==";

/// A blob server with one account, living in a world.
#[derive(Debug)]
pub struct Azurite {
    child: Option<Child>,
    _port: Option<Port>,
    endpoint: String,
}

impl Azurite {
    /// A server that somebody else started, with the account of [`Azurite::env`].
    #[must_use]
    pub fn at(endpoint: &str) -> Self {
        Self {
            child: None,
            _port: None,
            endpoint: endpoint.to_owned(),
        }
    }

    /// Starts the server and waits until it accepts signed requests.
    ///
    /// # Panics
    /// When it is not installed or does not start.
    #[must_use]
    pub fn start(world: &World) -> Self {
        let program = cache_dir().join("azurite-3.33.0/node_modules/azurite/dist/src/blob/main.js");
        assert!(
            program.exists(),
            "{} is missing: run `./x setup`",
            program.display()
        );
        let folder = world.folder("azurite");
        let port = Port::free();
        let mut command = Command::new("node");
        command
            .env("AZURITE_ACCOUNTS", format!("{ACCOUNT}:{KEY}"))
            .env("HOME", &folder)
            .current_dir(&folder)
            .arg(program)
            .args(["--blobHost", "127.0.0.1", "--blobPort"])
            .arg(port.to_string())
            .args(["--skipApiVersionCheck", "--silent", "--location"])
            .arg(&folder);
        let child = Child::start("azurite", &mut command, &folder.join("log"));
        let mut azurite = Self {
            child: Some(child),
            endpoint: format!("http://127.0.0.1:{port}/{ACCOUNT}"),
            _port: Some(port),
        };
        // Node reads some thousand files before it listens.
        eventually("Azurite to answer", Duration::from_secs(120), || {
            if let Some(child) = &mut azurite.child {
                child.assert_alive();
            }
            azurite.answers().then_some(())
        });
        azurite
    }

    /// Whether it answers signed requests.
    #[must_use]
    pub fn answers(&self) -> bool {
        let made = self.ask("PUT", "ready?restype=container", &[], b"");
        matches!(made, Some(201 | 409))
    }

    /// The endpoint's URL, which ends in the account's name.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The variables by which an Azure client finds the account.
    #[must_use]
    pub fn env(&self) -> [(&'static str, &'static str); 2] {
        [
            ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT),
            ("AZURE_STORAGE_ACCOUNT_KEY", KEY),
        ]
    }

    /// A token that may do these things with all of the account: `r` reads, `l` lists.
    #[must_use]
    pub fn sas(&self, may: &str) -> String {
        let (until, version) = ("2099-01-01T00:00:00Z", "2019-12-12");
        let text = format!("{ACCOUNT}\n{may}\nb\nsco\n\n{until}\n\n\n{version}\n");
        let key = STANDARD.decode(KEY).expect("the key in base64");
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).expect("a key of any length");
        mac.update(text.as_bytes());
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        let signature = signature.replace('+', "%2B").replace('/', "%2F");
        let signature = signature.replace('=', "%3D");
        format!("sv={version}&ss=b&srt=sco&sp={may}&se={until}&sig={signature}")
    }

    /// Makes a container; one that exists is fine.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn make_container(&self, container: &str) {
        let made = self.ask("PUT", &format!("{container}?restype=container"), &[], b"");
        assert!(
            matches!(made, Some(201 | 409)),
            "make {container}: {made:?}"
        );
    }

    /// Stores bytes as a blob; the container is made when missing. The key is percent-encoded.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn put(&self, container: &str, key: &str, content: impl AsRef<[u8]>) {
        let kind = [("x-ms-blob-type", "BlockBlob")];
        let path = format!("{container}/{key}?");
        let put = || self.ask("PUT", &path, &kind, content.as_ref());
        let mut status = put();
        if status == Some(404) {
            self.make_container(container);
            status = put();
        }
        assert_eq!(status, Some(201), "put {path}");
    }

    /// Says that a blob has this MD5 (base64), whatever it has.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn set_md5(&self, container: &str, key: &str, md5: &str) {
        let path = format!("{container}/{key}?comp=properties");
        let set = self.ask("PUT", &path, &[("x-ms-blob-content-md5", md5)], b"");
        assert_eq!(set, Some(200), "set the MD5 of {path}");
    }

    /// Removes a blob.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn delete(&self, container: &str, key: &str) {
        let path = format!("{container}/{key}?");
        assert_eq!(self.ask("DELETE", &path, &[], b""), Some(202), "{path}");
    }

    /// The status of one request with a signature; none when nothing answers.
    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<u16> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .timeout_global(Some(Duration::from_secs(60)))
            .proxy(None)
            .build()
            .into();
        let url = format!("{}/{path}&{}", self.endpoint, self.sas("rwdlc"));
        let url = url.replace("?&", "?");
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(url)
            .header("x-ms-version", "2019-12-12");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).expect("a request that can be made");
        Some(agent.run(request).ok()?.status().as_u16())
    }
}
