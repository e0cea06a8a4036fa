//! The program in a folder of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// For everything that has to happen some time: long enough for a machine that does many other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running `edgeward stream`; killed when dropped.
pub(crate) struct Program {
    child: Child,
    pub(crate) rest: SocketAddr,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command with its data in `data`, without what the tests' own environment says.
pub(crate) fn command(data: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgeward"));
    command.args(["--log-format", "json", "stream", "--data-dir"]).arg(data).args(arguments);
    command.env_remove("EDGEWARD_LOG").env_remove("EDGEWARD_CONFIG").env_remove("KuiperBaseKey");
    command.envs(environment.iter().copied()).stdin(Stdio::null()).stderr(Stdio::piped());
    command
}

impl Program {
    /// Starts it on a free port and waits until it is ready.
    pub(crate) fn start(data: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Program {
        Program::start_logged(data, arguments, environment).0
    }

    /// The same, with what it logged until it was ready.
    pub(crate) fn start_logged(data: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> (Program, Vec<Value>) {
        let mut child = command(data, arguments, environment).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut log = Vec::new();
        let mut rest = None;
        for line in lines.by_ref() {
            let line = line.unwrap();
            let Ok(line) = serde_json::from_str::<Value>(&line) else { panic!("{line}") };
            let message = line["fields"]["message"].as_str().unwrap_or_default().to_owned();
            if message == "stream engine ready" {
                rest = line["fields"]["rest"].as_str().map(|text| text.parse().unwrap());
                break;
            }
            log.push(line);
        }
        let rest = rest.unwrap_or_else(|| panic!("the program did not start: {log:#?}"));
        // It must not stand still because nobody reads what it says.
        std::thread::spawn(move || lines.for_each(drop));
        (Program { child, rest }, log)
    }

    /// Status and body of a request.
    pub(crate) fn call(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        self.call_with(method, path, body, "")
    }

    /// The same with more lines of header, each ended by CR LF.
    pub(crate) fn call_with(&self, method: &str, path: &str, body: &str, headers: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.rest).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n");
        stream.write_all(format!("{head}{headers}\r\n{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// The body of a request that must succeed.
    pub(crate) fn ok(&self, method: &str, path: &str, body: &str) -> String {
        let (status, answer) = self.call(method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }
}

/// Waits for something to be there.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{what}: not within {PATIENCE:?}");
}
