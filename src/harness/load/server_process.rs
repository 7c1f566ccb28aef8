//! What a server's process uses, where it runs on this machine (proc(5)).

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use crate::harness::ServerSample;

/// The unit of CPU times in `/proc/PID/stat`: USER_HZ, 100 on every Linux.
const TICKS_PER_SECOND: u64 = 100;

/// A process to watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerProcess {
    pid: u32,
}

impl ServerProcess {
    /// The process with this id.
    pub const fn new(pid: u32) -> Self {
        Self { pid }
    }

    /// The process that has a UDP socket on the server's port; `None` where the server is elsewhere, or
    /// the system does not show it.
    pub fn listening_at(server: SocketAddr) -> Option<Self> {
        if !server.ip().is_loopback() {
            return None;
        }
        let tables = ["/proc/net/udp", "/proc/net/udp6"];
        let inodes: Vec<String> = tables
            .iter()
            .filter_map(|table| fs::read_to_string(table).ok())
            .flat_map(|table| inodes_at(&table, server.port()))
            .map(|inode| format!("socket:[{inode}]"))
            .collect();
        let processes = fs::read_dir("/proc").ok()?;
        processes
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .find(|pid| has_one_of(*pid, &inodes))
            .map(Self::new)
    }

    /// What it has used so far; `None` where it is gone.
    pub fn sample(self) -> Option<ServerSample> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        Some(ServerSample {
            cpu: cpu(&stat)?,
            rss_bytes: rss_bytes(&status)?,
        })
    }
}

fn has_one_of(pid: u32, inodes: &[String]) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    descriptors
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|link| {
            link.to_str()
                .is_some_and(|link| inodes.iter().any(|inode| inode == link))
        })
}

/// Of sockets with this local port.
fn inodes_at(table: &str, port: u16) -> Vec<u64> {
    let of_line = |line: &str| {
        let mut columns = line.split_ascii_whitespace();
        let (_, local_port) = columns.nth(1)?.rsplit_once(':')?;
        let inode = columns.nth(7)?.parse().ok()?;
        (u16::from_str_radix(local_port, 16) == Ok(port)).then_some(inode)
    };
    table.lines().filter_map(of_line).collect()
}

/// `utime` and `stime`, which follow the program's name in parentheses.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut times = rest.split_ascii_whitespace().skip(11);
    let user: u64 = times.next()?.parse().ok()?;
    let system: u64 = times.next()?.parse().ok()?;
    Some(Duration::from_millis(
        (user + system) * 1000 / TICKS_PER_SECOND,
    ))
}

fn rss_bytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found_by_its_socket_and_says_what_it_uses() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let found = ServerProcess::listening_at(socket.local_addr().unwrap());
        assert_eq!(found, Some(ServerProcess::new(std::process::id())));
        let sample = found.unwrap().sample().unwrap();
        assert!(sample.rss_bytes > 1024 * 1024, "{sample:?}");
        assert_eq!(ServerProcess::new(u32::MAX).sample(), None);
    }

    #[test]
    fn a_programs_name_with_spaces_and_parentheses_shifts_nothing() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 150 25 0 0 20 0 1 0 5";
        assert_eq!(cpu(stat), Some(Duration::from_millis(1750)));
    }
}
