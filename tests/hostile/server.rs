//! The real binary, and what the kernel says of it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_narrowcast");

/// A start opens the store and reads it; this machine may be busy.
const START_MAX: Duration = Duration::from_secs(20);

/// The device that downloads is asked for nothing while it does; what is slow or silent is cut off
/// after seconds instead of tens of them.
const SETTINGS: &str = r#"
[coap]
transmission = "loopback"

[update]
silence_before_result_read = "10m"
download_stall_timeout = "10m"

[http]
first_byte_timeout = "3s"
header_timeout = "3s"
idle_timeout = "3s"
rate_min_bytes_per_second = 200
rate_grace = "3s"

[device_http]
first_byte_timeout = "3s"
header_timeout = "3s"
idle_timeout = "3s"
rate_min_bytes_per_second = 200
rate_grace = "3s"

[device_https]
handshake_timeout = "3s"
"#;

#[derive(Debug)]
pub(crate) struct Server {
    folder: TempDir,
    child: Child,
    pub(crate) coap: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) device_http: SocketAddr,
    pub(crate) device_https: SocketAddr,
    /// Of an admin.
    pub(crate) token: String,
    log: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts it on free ports of an address of this process alone.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [_, high, middle, low] = std::process::id().to_be_bytes();
        let own = Ipv4Addr::new(127, 64 | high, middle, low);
        make_certificate(folder.path(), own);
        let files = ["certificate", "key"].map(|name| {
            let file = folder.path().join(format!("{name}.pem"));
            format!("{name}_file = \"{}\"\n", file.display())
        });
        let settings = format!("{SETTINGS}{}", files.concat());
        fs::write(folder.path().join("narrowcast.toml"), settings).unwrap();
        let any = SocketAddr::from((own, 0)).to_string();
        let mut child = Command::new(PROGRAM)
            .env_remove("RUST_LOG")
            .env("NO_COLOR", "1")
            .arg("serve")
            .arg("--config")
            .arg(folder.path().join("narrowcast.toml"))
            .arg("--data-dir")
            .arg(folder.path().join("data"))
            .args(["--coap", &any, "--http", &any])
            .args(["--device-http", &any, "--device-https", &any])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&log);
        let stderr = child.stderr.take().unwrap();
        thread::spawn(move || each_line(stderr, |line| kept.lock().unwrap().push(line)));
        let (sender, lines) = mpsc::channel();
        let stdout = child.stdout.take().unwrap();
        // Nobody listens behind the first line: it is the only one.
        thread::spawn(move || each_line(stdout, |line| drop(sender.send(line))));
        let Ok(ready) = lines.recv_timeout(START_MAX) else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("not ready: {}", log.lock().unwrap().join("\n"));
        };
        let [coap, http, device_http, device_https] =
            ["coap", "http", "device-http", "device-https"]
                .map(|listener| address(&ready, listener));
        let token = create_token(folder.path());
        Self {
            folder,
            child,
            coap,
            http,
            device_http,
            device_https,
            token,
            log,
        }
    }

    /// What it has written to stderr.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// What its certificate is in.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How many descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.pid());
        fs::read_dir(folder).unwrap().count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The memory that a process has resident (VmRSS), in kilobytes.
pub(crate) fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap_or_else(|| panic!("no VmRSS in {status}"));
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn each_line(from: impl Read, mut take: impl FnMut(String)) {
    for line in BufReader::new(from).lines().map_while(Result::ok) {
        take(line);
    }
}

fn address(ready: &str, listener: &str) -> SocketAddr {
    let field = format!("{listener}=");
    ready
        .split(' ')
        .find_map(|word| word.strip_prefix(&field)?.parse().ok())
        .unwrap_or_else(|| panic!("no {listener} in {ready:?}"))
}

fn make_certificate(folder: &Path, own: Ipv4Addr) {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ])
        .args(["-nodes", "-days", "2", "-subj", "/CN=narrowcast"])
        .args(["-addext", &format!("subjectAltName=IP:{own}")])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(folder.join("key.pem"))
        .arg("-out")
        .arg(folder.join("certificate.pem"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}

fn create_token(folder: &Path) -> String {
    let made = Command::new(PROGRAM)
        .args(["token", "create", "test", "--role", "admin", "--data-dir"])
        .arg(folder.join("data"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}
