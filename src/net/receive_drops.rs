//! Datagrams that the kernel dropped because a socket's receive buffer was full: in no counter of ours,
//! as nobody here has seen them.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// The kernel's count for one UDP socket, also of one that has moved to another owner.
#[derive(Clone, Debug)]
pub struct ReceiveDrops {
    inode: u64,
    table: PathBuf,
}

impl ReceiveDrops {
    /// # Errors
    /// Where the system does not show a process's sockets as Linux does.
    pub(super) fn of(socket: &impl AsFd, is_ipv6: bool) -> io::Result<Self> {
        let descriptor = socket.as_fd().as_raw_fd();
        let inode = std::fs::metadata(format!("/proc/self/fd/{descriptor}"))?.ino();
        let table = if is_ipv6 { "udp6" } else { "udp" };
        Ok(Self {
            inode,
            table: PathBuf::from("/proc/self/net").join(table),
        })
    }

    /// How many since the socket was made. It reads a file with a line for each UDP socket of the
    /// machine: not for a task that must not wait.
    ///
    /// # Errors
    /// Where the system does not say, or the socket is gone.
    pub fn read(&self) -> io::Result<u64> {
        let table = std::fs::read_to_string(&self.table)?;
        table
            .lines()
            .find_map(|line| drops_of(line, self.inode))
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

/// The last column of the line of the socket with this inode (proc_net_udp(5)).
fn drops_of(line: &str, inode: u64) -> Option<u64> {
    let mut columns = line.split_ascii_whitespace().skip(9);
    let is_it = columns.next()?.parse() == Ok(inode);
    let drops = columns.last()?.parse().ok();
    drops.filter(|_| is_it)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, UdpSocket};

    use super::*;

    #[test]
    fn a_line_is_read_by_its_columns() {
        let line = "  417: 0100007F:1633 00000000:0000 07 00000000:00000000 00:00000000 00000000  \
                    0        0 24567 2 0000000000000000 93";
        assert_eq!(drops_of(line, 24_567), Some(93));
        assert_eq!(drops_of(line, 0), None);
        let head = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   \
                    uid  timeout inode ref pointer drops";
        assert_eq!(drops_of(head, 24_567), None);
    }

    #[test]
    fn what_a_full_buffer_dropped_is_counted() {
        let any = (Ipv4Addr::LOCALHOST, 0);
        let (full, peer) = (UdpSocket::bind(any).unwrap(), UdpSocket::bind(any).unwrap());
        let drops = ReceiveDrops::of(&full, false).unwrap();
        assert_eq!(drops.read().unwrap(), 0);
        // Some 200 KiB by default, each datagram counted with its overhead.
        for _ in 0..20_000 {
            peer.send_to(&[0; 1024], full.local_addr().unwrap())
                .unwrap();
        }
        assert!(drops.read().unwrap() > 0);
        drop(full);
        assert!(drops.read().is_err());
    }
}
