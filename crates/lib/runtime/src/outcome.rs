//! How a process ended, told to everyone who asked: log, result file, termination message, exit code.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{
    FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use pilotfish_failure::{Failure, Kind};
use serde_json::{Map, Value, json};
use tempfile::NamedTempFile;

use crate::environment::{Environment, TERMINATION_LOG};
use crate::log::Log;

/// How long a pipe's reader may keep the end of a process waiting.
const READERS_TIME: Duration = Duration::from_secs(5);

/// How often such a pipe is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// The kubelet cuts a container's termination message here.
const TERMINATION_BYTES: usize = 4096;

/// The result document: `{"ok":true,"exit_code":0,"result":..}`, or after a failure
/// `{"ok":false,"exit_code":..,"error":..,"kind":..,"retriable":..,"hint":..,"result":..}`.
pub(crate) fn document(
    outcome: Result<(), &Failure>,
    result: Option<&Value>,
) -> Map<String, Value> {
    let mut document = Map::new();
    document.insert("ok".to_owned(), outcome.is_ok().into());
    let code = outcome.map_or_else(|failure| failure.kind().exit_code(), |()| 0);
    document.insert("exit_code".to_owned(), code.into());
    if let Err(failure) = outcome {
        document.insert("error".to_owned(), failure.to_string().into());
        document.insert("kind".to_owned(), json!(failure.kind()));
        document.insert("retriable".to_owned(), failure.kind().is_transient().into());
        if let Some(hint) = failure.hint() {
            document.insert("hint".to_owned(), hint.into());
        }
    }
    if let Some(result) = result {
        document.insert("result".to_owned(), result.clone());
    }
    document
}

/// One line of the log: ERROR with chain and hint, or what was done.
pub(crate) fn log(log: &Log, outcome: Result<(), &Failure>, result: Option<&Value>) {
    if log.is_json() {
        let (level, message, enabled) = match outcome {
            Ok(()) => (
                "INFO",
                "done".to_owned(),
                tracing::enabled!(tracing::Level::INFO),
            ),
            Err(failure) => (
                "ERROR",
                failure.to_string(),
                tracing::enabled!(tracing::Level::ERROR),
            ),
        };
        if enabled {
            log.json_line(level, &message, document(outcome, result));
        }
        return;
    }
    match outcome {
        Ok(()) => tracing::debug!("done"),
        Err(failure) => {
            let code = failure.kind().exit_code();
            match failure.hint() {
                Some(hint) => tracing::error!(exit_code = code, hint, "{failure}"),
                None => tracing::error!(exit_code = code, "{failure}"),
            }
        }
    }
}

/// Whether [`write_result_file`] will find a place to write to.
pub(crate) fn check_result_file(path: &Path) -> Result<(), Failure> {
    let check = match fs::metadata(path) {
        Ok(there) if there.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(there) if there.is_file() => match draft(path).and_then(|_| may_be_replaced(path)) {
            Ok(true) => Ok(()),
            _ => OpenOptions::new().write(true).open(path).map(drop),
        },
        // A pipe or a device: its reader may come later.
        Ok(_) => Ok(()),
        Err(_) => draft(path).map(drop),
    };
    check.map_err(|error| {
        Failure::from(error).context(format!("write --result-file {}", path.display()))
    })
}

/// Whether a file of ours may take the place of what is there: in a sticky folder, such as `/tmp`, only its owner
/// and that of the folder replace a file.
fn may_be_replaced(path: &Path) -> io::Result<bool> {
    let folder = fs::metadata(folder_of(path))?;
    let own = rustix::process::geteuid().as_raw();
    let sticky = folder.mode() & 0o1000 != 0;
    Ok(!sticky || own == 0 || own == folder.uid() || own == fs::symlink_metadata(path)?.uid())
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."))
}

/// A file beside `path` that goes away unless it takes its place.
fn draft(path: &Path) -> io::Result<NamedTempFile> {
    path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    tempfile::Builder::new()
        .prefix(".result-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder_of(path))
}

/// Writes the result file so that a reader sees a whole document or none; in place where no file can take its place: a
/// pipe, a device, a file that is a mount, or one in a folder that is not ours.
pub(crate) fn write_result_file(path: &Path, document: &Map<String, Value>) -> io::Result<()> {
    let text = format!("{}\n", Value::Object(document.clone()));
    let there = fs::metadata(path).map(|there| there.file_type());
    match &there {
        Ok(there) if there.is_fifo() => return write_to_pipe(path, text.as_bytes()),
        Ok(there) if !there.is_file() => return fs::write(path, text),
        _ => {}
    }
    let replace = || {
        let mut file = draft(path)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path).map(drop).map_err(|error| error.error)
    };
    match replace() {
        Err(error) if there.is_ok() && is_in_the_way(&error) => fs::write(path, text),
        written => written,
    }
}

/// Whether it is the place that keeps a file from being replaced. Anything else, a full disk above all, would fail in
/// place as well, once the last result is gone.
fn is_in_the_way(error: &io::Error) -> bool {
    use io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::ResourceBusy
            | ErrorKind::CrossesDevices
            | ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
    )
}

/// Opening a pipe waits for its reader, and writing to it for the reader to go on: nobody may come, and a process
/// whose work is done must end.
fn write_to_pipe(path: &Path, mut text: &[u8]) -> io::Result<()> {
    let until = Instant::now() + READERS_TIME;
    let nonblocking =
        i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    let mut pipe = None;
    while !text.is_empty() {
        let step = match &mut pipe {
            None => OpenOptions::new()
                .write(true)
                .custom_flags(nonblocking)
                .open(path)
                .map(|opened| pipe = Some(opened)),
            Some(pipe) => pipe.write(text).map(|written| text = &text[written..]),
        };
        match step {
            Ok(()) => {}
            Err(error) if waits_for_a_reader(&error) && Instant::now() < until => {
                thread::sleep(LOOK);
            }
            Err(error) if waits_for_a_reader(&error) => {
                let message = format!("nobody reads this pipe, waited for {READERS_TIME:?}");
                return Err(io::Error::new(io::ErrorKind::TimedOut, message));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// There is none yet, or it has not read yet what it was sent.
fn waits_for_a_reader(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error())
        || matches!(
            error.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
        )
}

/// Leaves the failure where `kubectl describe pod` shows it. Not being able to is no failure.
pub(crate) fn write_termination_message(environment: &Environment, failure: &Failure) {
    let Some(path) = termination_log(environment) else {
        return;
    };
    let kind = failure.kind();
    let hint = failure
        .hint()
        .map(|hint| format!("\n{hint}"))
        .unwrap_or_default();
    let head = format!(
        "{} (exit code {}, {}): ",
        kind.name(),
        kind.exit_code(),
        if kind.is_transient() {
            "try again"
        } else {
            "trying again does not help"
        }
    );
    let room = TERMINATION_BYTES.saturating_sub(head.len() + 1);
    let message = format!("{head}{}\n", shorten(&format!("{failure}{hint}"), room));
    if let Err(error) = fs::write(&path, message) {
        tracing::debug!(path = %path.display(), %error, "cannot write the termination message");
    }
}

fn termination_log(environment: &Environment) -> Option<PathBuf> {
    let path = PathBuf::from(
        environment
            .get(TERMINATION_LOG)
            .unwrap_or("/dev/termination-log"),
    );
    // Outside a pod there is none, and nothing must appear under /dev.
    fs::metadata(&path).ok()?.is_file().then_some(path)
}

/// Cuts the middle out: the start says what was done, the end says why it failed.
fn shorten(text: &str, limit: usize) -> String {
    const CUT: &str = " ... ";
    if text.len() <= limit {
        return text.to_owned();
    }
    let half = limit.saturating_sub(CUT.len()) / 2;
    let (mut head, mut tail) = (half, text.len() - half);
    while !text.is_char_boundary(head) {
        head -= 1;
    }
    while !text.is_char_boundary(tail) {
        tail += 1;
    }
    format!("{}{CUT}{}", &text[..head], &text[tail..])
}

/// What a panic becomes.
pub(crate) fn bug(message: &str) -> Failure {
    Failure::new(Kind::Bug, message)
        .with_hint("this is a bug in pilotfish: report this line and what led to it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_keeps_both_ends() {
        let text = format!("load dump.sql: {}: duplicate key", "ä".repeat(5000));
        let short = shorten(&text, TERMINATION_BYTES);
        assert!(short.len() <= TERMINATION_BYTES);
        assert!(short.starts_with("load dump.sql") && short.ends_with("duplicate key"));
    }

    #[test]
    fn the_document_says_what_the_exit_code_says() {
        let failure = Failure::new(Kind::Busy, "take the lease").with_hint("wait");
        let document = Value::Object(document(Err(&failure), Some(&json!({"rows": 3}))));
        assert_eq!(
            document,
            json!({"ok": false, "exit_code": 75, "error": "take the lease", "kind": "busy",
                   "retriable": true, "hint": "wait", "result": {"rows": 3}})
        );
    }
}
