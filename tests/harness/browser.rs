//! A real browser without a window: Chromium, driven by `chromedriver` over WebDriver, which is HTTP and
//! JSON.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::eventually::eventually;
use crate::http;
use crate::process::Child;
use crate::world::{Port, World, cache_dir};

/// Chromium and its driver come with the distribution, or in a tree of Debian's.
const DRIVER: &str = "/usr/bin/chromedriver";

/// Runs the driver of a tree: Chromium starts itself anew by its path, which a loader of ours would not
/// survive. All of it ends with the first process.
const IN_TREE: &str = "mount -t proc proc \"$0/proc\" && mount --bind /dev \"$0/dev\" && \
    mount -t tmpfs tmpfs \"$0/tmp\" && exec chroot \"$0\" \"$1\" --port=\"$2\"";

/// Starting a browser beside other tests takes its time.
const START: Duration = Duration::from_secs(120);

/// One browser with one page, living in a world.
#[derive(Debug)]
pub struct Browser {
    session: String,
    _driver: Child,
    _port: Port,
}

/// Light or dark, as the person's system says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Dark letters on light paper.
    Light,
    /// Light letters on dark paper.
    Dark,
}

impl Browser {
    /// Starts a browser and waits for it.
    ///
    /// # Panics
    /// When it is not installed or does not start.
    #[must_use]
    pub fn start(world: &World) -> Self {
        let folder = world.folder("browser");
        let port = Port::free();
        let (mut command, profile) = driver(&folder, &port);
        let mut driver = Child::start("chromedriver", &mut command, &folder.join("log"));
        let base = format!("http://127.0.0.1:{port}");
        eventually("chromedriver to answer", START, || {
            driver.assert_alive();
            http::get(&format!("{base}/status")).filter(|answer| answer.status == 200)
        });
        let profile = format!("--user-data-dir={}", profile.display());
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--no-first-run", "--disable-background-networking", "--no-proxy-server", profile,
            ]},
        }}});
        let answer = ask("POST", &format!("{base}/session"), &wanted);
        let id = answer["sessionId"].as_str().expect("a session");
        Self {
            session: format!("{base}/session/{id}"),
            _driver: driver,
            _port: port,
        }
    }

    /// Goes to a page.
    ///
    /// # Panics
    /// When the browser refuses.
    pub fn open(&self, url: &str) {
        self.call("url", &json!({ "url": url }));
    }

    /// Looks at the page in a window of that many CSS pixels.
    ///
    /// # Panics
    /// When the browser refuses.
    pub fn look(&self, width: u32, scheme: Scheme) {
        let value = match scheme {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        };
        let features = json!([{"name": "prefers-color-scheme", "value": value}]);
        self.devtools("Emulation.setEmulatedMedia", &json!({"features": features}));
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
    }

    /// What a function body returns on the page.
    ///
    /// # Panics
    /// When it throws.
    #[must_use]
    pub fn evaluate(&self, body: &str) -> Value {
        self.call("execute/sync", &json!({"script": body, "args": []}))
    }

    /// What the page wrote to the console since it was asked last.
    ///
    /// # Panics
    /// When the browser refuses.
    #[must_use]
    pub fn console(&self) -> Vec<String> {
        let entries = self.call("se/log", &json!({"type": "browser"}));
        let entries = entries.as_array().cloned().unwrap_or_default();
        entries.iter().map(ToString::to_string).collect()
    }

    fn devtools(&self, command: &str, parameters: &Value) {
        let command = json!({"cmd": command, "params": parameters});
        self.call("goog/cdp/execute", &command);
    }

    fn call(&self, path: &str, body: &Value) -> Value {
        ask("POST", &format!("{}/{path}", self.session), body)
    }
}

/// The driver, and where the browser may write.
fn driver(folder: &Path, port: &Port) -> (Command, PathBuf) {
    let mut command;
    let profile;
    if Path::new(DRIVER).exists() {
        command = Command::new(DRIVER);
        command.arg(format!("--port={port}"));
        profile = folder.join("profile");
    } else {
        let tree = cache_dir().join("rootfs-chromium");
        assert!(tree.is_dir(), "{DRIVER} is missing: run `./x setup`");
        command = Command::new("unshare");
        command
            .args(["--mount", "--pid", "--fork", "--kill-child"])
            .args(["sh", "-c", IN_TREE])
            .arg(tree)
            .args([DRIVER, &port.to_string()]);
        profile = PathBuf::from("/tmp/profile");
    }
    command
        .env_clear()
        .env("HOME", profile.parent().unwrap_or(folder))
        .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
    (command, profile)
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser's own processes; a driver that is gone already has none.
        let _ = http::request("DELETE", &self.session, &[], "");
    }
}

/// One question to the driver, and its answer's value.
fn ask(method: &str, url: &str, body: &Value) -> Value {
    let headers = [("content-type", "application/json")];
    let answer = http::request(method, url, &headers, &body.to_string());
    let answer = answer.unwrap_or_else(|| panic!("chromedriver does not answer to {url}"));
    assert_eq!(answer.status, 200, "{url}: {}", answer.body);
    answer.json()["value"].clone()
}
