//! What `benches/peers/run` drives: the yardsticks, which are the least that a server can do, and the
//! load that they, this server and others are put under.
//!
//! ```text
//! peers echo ADDR                     a UDP echo
//! peers coapfloor ADDR FILE           GET /tiny, and FILE block-wise at /image
//! peers regfloor ADDR                 POST, refresh and DELETE of /rd
//! peers get ADDR PATH …               tiny requests: see `load.rs`
//! peers download ADDR PATH FILE …     the whole image, every byte compared
//! peers register ADDR …               Register, Update, De-register
//! peers device ADDR ENDPOINT          one device that takes a URI and prints it, and is then silent
//! ```
#![expect(clippy::disallowed_methods, reason = "it times servers")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what it is for")]
#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

mod client;
mod device;
mod load;
mod usage;
mod wire;
mod yardsticks;

use std::net::SocketAddr;
use std::process::ExitCode;

fn main() -> ExitCode {
    // `cargo bench` adds an option of its own.
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    match words.as_slice() {
        ["echo", at] => yardsticks::echo(address(at)),
        ["coapfloor", at, file] => {
            yardsticks::coapfloor(address(at), &std::fs::read(file).unwrap())
        }
        ["regfloor", at] => yardsticks::regfloor(address(at)),
        ["echoed", at, options @ ..] => load::echoed(address(at), options),
        ["get", at, path, options @ ..] => load::get(address(at), path, options),
        ["download", at, path, file, options @ ..] => {
            load::download(address(at), path, std::fs::read(file).unwrap(), options);
        }
        ["register", at, options @ ..] => load::register(address(at), options),
        ["device", at, endpoint] => device::run(address(at), endpoint),
        // All benchmarks are run, this one among them.
        [] => eprintln!("see benches/peers/run"),
        _ => return ExitCode::from(2),
    }
    ExitCode::SUCCESS
}
