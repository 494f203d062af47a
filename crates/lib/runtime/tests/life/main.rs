//! The life of a process, seen from outside: exit codes, signals, what is written where.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod install;
mod result_file;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// Longest wait for something that comes at once on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The example tool, with an empty environment and nothing on standard input.
fn specimen(args: &[&str]) -> Command {
    // Cargo names binaries to tests, but not examples: they lie beside this test's folder.
    let deps = std::env::current_exe().unwrap();
    let program = deps.ancestors().nth(2).unwrap().join("examples/specimen");
    let mut command = Command::new(program);
    command.args(args).env_clear().stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    specimen(args).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn last_log_line(output: &Output) -> Value {
    serde_json::from_str(stderr(output).lines().last().unwrap()).unwrap()
}

fn temporary(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("specimen-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A tool that is ended with the test, whatever becomes of that.
struct Running(Option<Child>);

impl Running {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.0.as_ref().unwrap()), signal).unwrap();
    }

    fn stderr(&mut self) -> ChildStderr {
        self.0.as_mut().unwrap().stderr.take().unwrap()
    }

    /// Its end, with the log that nobody took before.
    fn end(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Starts the tool, reads its first line from standard output and closes that.
fn start(args: &[&str]) -> (Running, String) {
    let (running, line, _) = start_reading(args);
    (running, line)
}

/// As [`start`], with the rest of standard output.
fn start_reading(args: &[&str]) -> (Running, String, impl BufRead) {
    let mut child = specimen(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let running = Running(Some(child));
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    (running, line.trim().to_owned(), stdout)
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn success_ends_with_the_result_as_last_log_line() {
    let output = run(&["succeed"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let line = last_log_line(&output);
    assert_eq!(line["result"], json!({"rows": 3}));
    assert_eq!(line["ok"], json!(true));
    assert_eq!(output.stdout, b"started\n");
}

#[test]
fn json_output_is_the_result_as_it_is() {
    let output = run(&["succeed", "--output", "json"]);
    let last = String::from_utf8(output.stdout).unwrap();
    assert_eq!(last.lines().last(), Some(r#"{"rows":3}"#));
}

#[test]
fn a_failure_is_one_error_line_a_result_file_and_a_termination_message() {
    let folder = temporary("failure");
    let (result, termination) = (folder.join("return.json"), folder.join("termination-log"));
    fs::write(&termination, "").unwrap();
    let output = specimen(&["fail", "--result-file", result.to_str().unwrap()])
        .env("PILOTFISH_TERMINATION_LOG", &termination)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(65));
    let log = stderr(&output);
    assert_eq!(log.matches("ERROR").count(), 1, "{log}");
    let line = last_log_line(&output);
    assert_eq!(line["message"], "read dump.sql: no trailer");
    assert_eq!(line["hint"], "dump it again");
    let document: Value = serde_json::from_slice(&fs::read(&result).unwrap()).unwrap();
    assert_eq!(
        document,
        json!({"ok": false, "exit_code": 65, "error": "read dump.sql: no trailer",
               "kind": "bad_data", "retriable": false, "hint": "dump it again"})
    );
    let message = fs::read_to_string(&termination).unwrap();
    assert!(
        message.contains("no trailer") && message.contains("65"),
        "{message}"
    );
    assert_eq!(
        fs::read_dir(&folder).unwrap().count(),
        2,
        "temporary files are left behind"
    );
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn all_mistakes_are_reported_at_once_and_nothing_starts() {
    let folder = temporary("mistakes");
    let result = folder.join("return.json");
    let output = specimen(&["succeed", "--wrok", "5s", "--grace", "5"])
        .arg(format!("--result-file={}", result.display()))
        .env("PILOTFISH_STUBORN", "true")
        .env("PILOTFISH_LISTEN", "nowhere")
        .env("PILOTFISH_SPECIMEN_PORT", "tcp://10.0.0.1:80")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64), "{}", stderr(&output));
    let line = last_log_line(&output);
    let mistakes = line["mistakes"].as_array().unwrap();
    assert_eq!(mistakes.len(), 4, "{mistakes:#?}");
    for part in [
        "'--work'",
        "5s, or 5m for minutes",
        "PILOTFISH_STUBBORN",
        "nowhere",
    ] {
        assert!(
            line["message"].as_str().unwrap().contains(part),
            "{part}: {line:#}"
        );
    }
    let document: Value = serde_json::from_slice(&fs::read(&result).unwrap()).unwrap();
    assert_eq!(document["exit_code"], 64);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn impossible_configuration_is_78_with_every_reason() {
    let output = specimen(&["succeed", "--log-format", "text"])
        .envs([("PILOTFISH_STUBBORN", "yes"), ("PILOTFISH_MEEK", "1")])
        .env("MYSQL_ROOT_PASSWORD", "hunter2")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    let text = stderr(&output);
    assert!(
        text.contains("exclude each other") && text.contains("2 mistakes"),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn flags_win_over_variables() {
    let output = specimen(&["succeed", "--work", "1ms"])
        .env("PILOTFISH_WORK", "1h")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let first: Value = serde_json::from_str(stderr(&output).lines().next().unwrap()).unwrap();
    assert_eq!(first["config"]["work"], "1ms", "{first:#}");
}

#[test]
fn the_configuration_is_told_once_in_fields() {
    let output = run(&["succeed", "--log-format", "text", "--work", "1ms"]);
    let log = stderr(&output);
    let told =
        "configuration tool=specimen version=0.1.0 config=[act=Succeed work=1ms stubborn=false";
    assert_eq!(log.matches(told).count(), 1, "{log}");
    assert!(!log.contains('{'), "a dump: {log}");
}

#[test]
fn work_that_found_nothing_to_do_leaves_no_line() {
    let log = stderr(&run(&["succeed"]));
    assert!(log.contains("progress ended"), "{log}");
    let log = stderr(&run(&["idle"]));
    assert!(!log.contains("progress ended"), "{log}");
}

#[test]
fn help_and_version_succeed() {
    for flag in ["--help", "-h", "--version"] {
        let output = run(&[flag]);
        assert_eq!(output.status.code(), Some(0), "{flag}");
        assert!(
            String::from_utf8(output.stdout)
                .unwrap()
                .contains("specimen"),
            "{flag}"
        );
    }
}

#[test]
fn panics_are_70_in_one_line() {
    for act in ["panic", "detached"] {
        let output = run(&[act]);
        assert_eq!(output.status.code(), Some(70), "{act}: {}", stderr(&output));
        let log = stderr(&output);
        assert_eq!(log.matches("ERROR").count(), 1, "{log}");
        assert!(log.contains("falls") && !log.contains("backtrace"), "{log}");
        assert!(log.contains("specimen.rs"), "{log}");
    }
}

#[test]
fn sigterm_interrupts_a_one_shot_with_143() {
    for signal in [Signal::TERM, Signal::INT] {
        let (child, _) = start(&["succeed", "--work", "1h"]);
        child.signal(signal);
        assert_eq!(child.end().status.code(), Some(143), "{signal:?}");
    }
}

#[test]
fn the_grace_ends_and_a_second_signal_ends_at_once() {
    let (child, _) = start(&["succeed", "--work", "1h", "--stubborn", "--grace", "100ms"]);
    child.signal(Signal::TERM);
    let output = child.end();
    assert_eq!(output.status.code(), Some(143));
    assert!(
        stderr(&output).contains("did not end within 100ms"),
        "{}",
        stderr(&output)
    );

    let (mut child, _) = start(&["succeed", "--work", "1h", "--stubborn", "--grace", "1h"]);
    let mut log = BufReader::new(child.stderr());
    child.signal(Signal::TERM);
    let mut line = String::new();
    while !line.contains("shutting down") {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0);
    }
    child.signal(Signal::TERM);
    assert_eq!(child.end().status.code(), Some(143));
}

#[test]
fn a_daemon_answers_and_ends_with_0() {
    let (child, address) = start(&["daemon", "--work", "1h"]);
    assert!(get(&address, "/livez").starts_with("HTTP/1.1 200"));
    let answer = get(&address, "/readyz");
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("waiting for the first breath"), "{answer}");
    let metrics = get(&address, "/metrics");
    assert!(
        metrics.contains("pilotfish_specimen_build_info{version="),
        "{metrics}"
    );

    let taken = run(&["daemon", "--listen", &address]);
    assert_eq!(taken.status.code(), Some(78));
    assert!(stderr(&taken).contains(&address), "{}", stderr(&taken));

    drop(child);
    let (child, address) = start(&["daemon"]);
    let started = Instant::now();
    while !get(&address, "/readyz").starts_with("HTTP/1.1 200") {
        assert!(started.elapsed() < PATIENCE, "not ready");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.signal(Signal::TERM);
    assert_eq!(child.end().status.code(), Some(0));
}

#[test]
fn a_reader_that_went_away_ends_it_quietly() {
    // `start` drops its end of standard output after the first line.
    let (child, line) = start(&["print"]);
    assert_eq!(line, "line");
    let output = child.end();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(!stderr(&output).contains("ERROR"), "{}", stderr(&output));
}

#[test]
fn it_becomes_the_command_that_follows() {
    let output = run(&["succeed", "--", "sh", "-c", "echo became; exit 7"]);
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(output.stdout, b"started\nbecame\n");

    let output = run(&["succeed", "--", "no-such-program"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(
        stderr(&output).contains("run no-such-program"),
        "{}",
        stderr(&output)
    );

    let output = run(&["fail", "--", "sh", "-c", "echo became"]);
    assert_eq!(output.status.code(), Some(65));
    assert_eq!(output.stdout, b"");
}

#[test]
fn a_signal_before_the_work_counts() {
    for signal in [Signal::TERM, Signal::INT] {
        // It still reads its arguments.
        let args = ["succeed", "--work", "1h", "--ponder", "300ms"];
        let (child, line, _open) = start_reading(&args);
        assert_eq!(line, "pondering");
        child.signal(signal);
        let output = child.end();
        assert_eq!(output.status.code(), Some(143), "{}", stderr(&output));
    }
}

#[test]
fn nothing_follows_a_tool_that_was_told_to_stop() {
    let follows = ["--", "sh", "-c", "echo became"];
    // In the last moment of its work.
    let output = specimen(&["fall"]).args(follows).output().unwrap();
    assert_eq!(output.status.code(), Some(143), "{}", stderr(&output));
    assert_eq!(output.stdout, b"");
    assert!(stderr(&output).contains("before sh was started"));
    // During its work, which went on to its end.
    let args = [&["succeed", "--work", "300ms", "--stubborn"], &follows[..]].concat();
    let (child, _, mut rest) = start_reading(&args);
    child.signal(Signal::TERM);
    let output = child.end();
    assert_eq!(output.status.code(), Some(143), "{}", stderr(&output));
    let mut became = String::new();
    rest.read_to_string(&mut became).unwrap();
    assert_eq!(became, "");
}
