//! Starts the program in a clean environment and reads what it says.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Free ports, so that tests run side by side.
pub(crate) const FREE: [&str; 4] = ["--http-addr", "127.0.0.1:0", "--media-addr", "127.0.0.1:0"];

/// The program with nothing in its environment but a home directory.
pub(crate) fn rotunda(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rotunda"));
    command
        .env_clear()
        .env("HOME", home)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// Runs to the end.
pub(crate) fn run(home: &Path, args: &[&str]) -> Output {
    rotunda(home).args(args).output().unwrap()
}

/// What went to stdout of a command that succeeds.
pub(crate) fn said(home: &Path, args: &[&str]) -> String {
    let output = run(home, args);
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command that fails: its exit code and the lines on stderr, which all are sentences of ours.
pub(crate) fn faults(command: &mut Command) -> (i32, Vec<String>) {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    let sentence = |line: &str| {
        line.strip_prefix("rotunda: ")
            .unwrap_or_else(|| panic!("not a sentence of ours: {line}"))
            .to_owned()
    };
    (output.status.code().unwrap(), text.lines().map(sentence).collect())
}

/// A server that is running; killed when dropped.
pub(crate) struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    /// Starts it; it is ready once a line was read.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout }
    }

    /// Waits for a line on stderr that holds this. The rest of stderr is not read.
    pub(crate) fn complains(&mut self, text: &str) {
        let stderr = self.child.stderr.as_mut().unwrap();
        let found = BufReader::new(stderr)
            .lines()
            .map_while(Result::ok)
            .any(|line| line.contains(text));
        assert!(found, "the program ended without: {text}");
    }

    /// The JSON line of `rotunda dev`.
    pub(crate) fn json(&mut self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line on stdout.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        if self.stdout.read_line(&mut line).unwrap() == 0 {
            let mut text = String::new();
            self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
            panic!("the program ended: {text}");
        }
        line.trim_end().to_owned()
    }

    /// All that `rotunda serve` says when it is ready.
    pub(crate) fn greeting(&mut self) -> String {
        let mut text = String::new();
        loop {
            let line = self.line();
            let last = line.starts_with("Credentials were printed") || line.starts_with("  API key secret");
            text += &line;
            text += "\n";
            if last {
                return text;
            }
        }
    }

    /// Asks it to end by SIGTERM, and reads all that it said on stderr.
    pub(crate) fn terminate_and_read(mut self) -> String {
        let mut stderr = self.child.stderr.take().unwrap();
        self.terminate();
        let mut text = String::new();
        stderr.read_to_string(&mut text).unwrap();
        text
    }

    /// Asks it to end by SIGTERM. How long it took; it has to succeed.
    pub(crate) fn terminate(mut self) -> Duration {
        let asked = Instant::now();
        let kill = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -TERM {}", self.child.id()))
            .status()
            .unwrap();
        assert!(kill.success());
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(0), "SIGTERM ends it well: {status}");
        asked.elapsed()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended cannot be killed, which is fine.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The word after a label in a greeting.
pub(crate) fn after(text: &str, label: &str) -> String {
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(label));
    line.unwrap_or_else(|| panic!("no {label} in {text}")).trim().to_owned()
}
