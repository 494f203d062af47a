//! A real S3 server: SeaweedFS's `weed`, all roles in one process, signatures checked.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::eventually::eventually;
use crate::process::Child;
use crate::world::{Port, World, cache_dir};

const KEY: &str = "pilotfish";
const SECRET: &str = "pilotfish-secret";
const REGION: &str = "us-east-1";

/// An S3 server with one account, living in a world.
#[derive(Debug)]
pub struct S3 {
    _child: Option<Child>,
    _ports: Vec<Port>,
    endpoint: String,
}

impl S3 {
    /// A server that somebody else started, with the account of [`S3::env`].
    #[must_use]
    pub fn at(endpoint: &str) -> Self {
        Self {
            _child: None,
            _ports: Vec::new(),
            endpoint: endpoint.to_owned(),
        }
    }

    /// Starts the server and waits until it accepts signed requests.
    ///
    /// # Panics
    /// When `weed` is not installed or does not start.
    #[must_use]
    pub fn start(world: &World) -> Self {
        let weed = cache_dir().join("seaweedfs-4.48/weed");
        assert!(
            weed.exists(),
            "{} is missing: run `./x setup`",
            weed.display()
        );
        let folder = world.folder("s3");
        let accounts = folder.join("accounts.json");
        let account = serde_json::json!({"identities": [{
            "name": KEY,
            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }]});
        std::fs::write(&accounts, account.to_string()).expect("write the S3 accounts");
        let data = folder.join("data");
        std::fs::create_dir(&data).expect("make the S3 data folder");
        let ports: Vec<_> = (0..4).map(|_| Port::free()).collect();
        let mut command = Command::new(weed);
        command
            .env_clear()
            .env("HOME", &folder)
            .current_dir(&folder)
            .args([
                "-logtostderr",
                "server",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
            ])
            .args([
                "-filer",
                "-s3",
                "-s3.iam=false",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
            ])
            // Small volumes, many of them: each bucket takes a handful at its first object.
            .args([
                "-volume.max=100",
                "-master.volumeSizeLimitMB=1024",
                "-master.telemetry=false",
            ])
            .arg(format!("-s3.config={}", accounts.display()))
            .arg(format!("-dir={}", data.display()))
            .arg(format!("-master.port={}", ports[0]))
            .arg(format!("-volume.port={}", ports[1]))
            .arg(format!("-filer.port={}", ports[2]))
            .arg(format!("-s3.port={}", ports[3]));
        let mut child = Child::start("weed", &mut command, &folder.join("log"));
        let endpoint = format!("http://127.0.0.1:{}", ports[3]);
        eventually("the S3 server to answer", Duration::from_secs(120), || {
            child.assert_alive();
            answers(&endpoint).then_some(())
        });
        Self {
            _child: Some(child),
            _ports: ports,
            endpoint,
        }
    }

    /// The endpoint's URL; buckets are addressed by path.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The variables by which an AWS client finds the account.
    #[must_use]
    pub fn env(&self) -> [(&'static str, &'static str); 3] {
        [
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("AWS_REGION", REGION),
        ]
    }

    /// Whether it accepts signed requests.
    #[must_use]
    pub fn answers(&self) -> bool {
        answers(&self.endpoint)
    }

    /// Makes a bucket; one that exists is fine.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn make_bucket(&self, bucket: &str) {
        if self.try_request(&["--head"], bucket).is_err() {
            self.request(&["-X", "PUT"], bucket);
        }
    }

    /// Stores bytes as an object; the bucket is made when missing.
    pub fn put(&self, bucket: &str, key: &str, content: impl AsRef<[u8]>) {
        let mut file = tempfile::NamedTempFile::new().expect("make a file for an object");
        std::io::Write::write_all(&mut file, content.as_ref()).expect("write an object's file");
        self.put_file(bucket, key, file.path());
    }

    /// Stores a file as an object; the bucket is made when missing.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn put_file(&self, bucket: &str, key: &str, file: &Path) {
        self.make_bucket(bucket);
        let file = file.to_str().expect("a path in UTF-8");
        // An empty Expect header instead would be signed, and refused.
        self.request(
            &["--expect100-timeout", "0.01", "-T", file],
            &format!("{bucket}/{key}"),
        );
    }

    /// Removes an object.
    pub fn delete(&self, bucket: &str, key: &str) {
        self.request(&["-X", "DELETE"], &format!("{bucket}/{key}"));
    }

    /// One signed request by curl with extra arguments; returns what it printed.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn request(&self, args: &[&str], path: &str) -> String {
        self.try_request(args, path)
            .unwrap_or_else(|error| panic!("S3 {args:?} {path}: {error}"))
    }

    fn try_request(&self, args: &[&str], path: &str) -> Result<String, String> {
        curl(&self.endpoint, args, path)
    }
}

fn answers(endpoint: &str) -> bool {
    curl(endpoint, &["-X", "PUT"], "ready").is_ok()
}

fn curl(endpoint: &str, args: &[&str], path: &str) -> Result<String, String> {
    let output = Command::new("curl")
        .env_clear()
        .args([
            "--silent",
            "--show-error",
            "--fail-with-body",
            "--max-time",
            "600",
            "--noproxy",
            "*",
        ])
        .args([
            "--aws-sigv4",
            &format!("aws:amz:{REGION}:s3"),
            "--user",
            &format!("{KEY}:{SECRET}"),
        ])
        .args(args)
        .arg(format!("{endpoint}/{path}"))
        .output()
        .expect("run curl: install it by `./x setup`");
    let body = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        Ok(body)
    } else {
        Err(format!("{}{body}", String::from_utf8_lossy(&output.stderr)))
    }
}
