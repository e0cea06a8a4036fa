//! Programs of others that the tests talk to.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// A running program; it ends with the test.
pub(crate) struct Peer {
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Peer {
    /// Starts a program; none when it is not installed, and then says what is left out.
    pub(crate) fn start(program: &str, arguments: &[&str]) -> Option<Peer> {
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let Ok(mut child) = child else {
            left_out(program);
            return None;
        };
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Some(Peer { lines, _child: child })
    }

    /// Whether a program is installed; if not, says what is left out.
    pub(crate) fn installed(program: &str) -> Option<()> {
        if std::process::Command::new(program).arg("-h").output().is_err() {
            left_out(program);
            return None;
        }
        Some(())
    }

    /// A Python script that needs these modules.
    pub(crate) fn python(modules: &str, script: &str, arguments: &[&str]) -> Option<Peer> {
        let known = std::process::Command::new("python3").args(["-c", &format!("import {modules}")]).output();
        if !known.is_ok_and(|output| output.status.success()) {
            left_out(&format!("python3 with {modules}"));
            return None;
        }
        Peer::start("python3", &[&["-u", "-c", script], arguments].concat())
    }

    /// The next line the program writes.
    pub(crate) async fn line(&mut self) -> String {
        let line = tokio::time::timeout(Duration::from_secs(60), self.lines.next_line()).await;
        line.expect("a line in time").unwrap().expect("a line")
    }
}

#[allow(clippy::print_stderr)] // whoever runs the tests should see it
pub(crate) fn left_out(what: &str) {
    eprintln!("LEFT OUT: {what} is not installed (tools/setup.sh test installs it); this test checks nothing");
}

/// A port that was free a moment ago, for programs that cannot choose one themselves.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Runs a program to its end.
pub(crate) fn run(words: &[&str]) {
    let output = std::process::Command::new(words[0]).args(&words[1..]).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Writes a certificate for 127.0.0.1 and its key; none without openssl.
pub(crate) fn certificate(folder: &Path) -> Option<(PathBuf, PathBuf)> {
    if std::process::Command::new("openssl").arg("version").output().is_err() {
        left_out("openssl");
        return None;
    }
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let (out, keyout, config) = (certificate.to_str().unwrap(), key.to_str().unwrap(), folder.join("openssl.cnf"));
    let text = "[req]\ndistinguished_name=n\nx509_extensions=e\n[n]\n[e]\nsubjectAltName=IP:127.0.0.1\n\
                basicConstraints=CA:FALSE\n";
    std::fs::write(&config, text).unwrap();
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let rest = ["-days", "2", "-subj", "/CN=test", "-config", config.to_str().unwrap(), "-out", out, "-keyout", keyout];
    run(&[&["openssl", "req", "-x509"][..], &curve, &rest].concat());
    Some((certificate, key))
}

/// A web server that writes every request as a line of JSON and answers by the last part of the path.
pub(crate) const WEB: &str = r#"
import http.server, json
count = 0
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self):
        global count
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        print(json.dumps({"method": self.command, "path": self.path, "type": self.headers.get("content-type"),
            "auth": self.headers.get("authorization"), "body": body}))
        what = self.path.split("?")[0].rsplit("/", 1)[-1]
        count += 1
        reply = {"code": '{"code": 500}', "token": '{"access_token": "t%d", "expires_in": 3600}' % count, "same": '{"a":1}',
            "rows": '[{"id":1,"v":"a"},{"id":2,"v":"b"},{"id":2,"v":"c"}]', "count": '{"n": %d}' % count}.get(what, '{"code": 200}').encode()
        status = int(what) if what.isdigit() else 200
        if what == "auth" and self.headers.get("authorization") == "Bearer t1": status = 401
        moved = {"moved": 302, "again": 307}.get(what)
        self.send_response(moved or status)
        if moved: self.send_header("location", "/200?from=" + what)
        self.send_header("content-length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)
    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = answer
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port)
server.serve_forever()
"#;
