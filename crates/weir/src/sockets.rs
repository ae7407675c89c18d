//! Where the process listens: at sockets that were open before it (systemd's, `LISTEN_FDS`), else at its own.
//!
//! A socket that outlives the process is how an upgrade refuses nobody: connections wait in it, or go to another process
//! that has it, too. Its address must be the one that the configuration says, since that decides who must show a key.

use std::io;
use std::net::SocketAddr;

use listenfd::ListenFd;
use tokio::net::{TcpListener, TcpSocket};

use crate::app::Error;

/// So many connections may wait to be accepted: all clients come back at once after a restart. The usual 128 would make
/// the others wait for a second and more.
const WAITING: u32 = 4096;

/// Sockets that were passed on and that nobody has taken yet.
pub struct Sockets {
    passed: Vec<(SocketAddr, std::net::TcpListener)>,
}

impl Sockets {
    /// Those that the process was started with.
    ///
    /// # Errors
    /// A descriptor that is no listening TCP socket.
    pub fn passed() -> Result<Sockets, Error> {
        let mut all = ListenFd::from_env();
        let mut passed = Vec::new();
        for index in 0..all.len() {
            let taken = all.take_tcp_listener(index);
            let taken = taken.and_then(|listener| match listener {
                Some(listener) => {
                    listener.set_nonblocking(true)?;
                    Ok(Some((listener.local_addr()?, listener)))
                }
                None => Ok(None),
            });
            let listener = taken
                .map_err(|error| format!("a socket that was passed on (LISTEN_FDS) is of no use: {error}"))?;
            passed.extend(listener);
        }
        Ok(Sockets { passed })
    }

    /// The one at this address: passed on, else the process's own. `setting` is where the address stands.
    ///
    /// # Errors
    /// The address is taken, or is none of this machine's.
    pub fn at(&mut self, address: SocketAddr, setting: &str) -> Result<TcpListener, Error> {
        let listener = match self.passed.iter().position(|(passed, _)| same(*passed, address)) {
            Some(index) => TcpListener::from_std(self.passed.remove(index).1),
            None => own(address),
        };
        Ok(listener
            .map_err(|error| format!("can't listen on {address}: {error}; choose another for {setting}"))?)
    }

    /// Everything that was passed on is used.
    ///
    /// # Errors
    /// A socket at an address that the configuration does not know.
    pub fn all_taken(&self) -> Result<(), Error> {
        let Some((address, _)) = self.passed.first() else { return Ok(()) };
        Err(format!("a socket at {address} was passed on (LISTEN_FDS), and nothing listens there; write `server.listen: {address}`, or change the socket unit").into())
    }
}

/// The same, or all addresses of the machine in both: systemd's are of both families.
fn same(passed: SocketAddr, asked: SocketAddr) -> bool {
    passed == asked
        || passed.port() == asked.port() && passed.ip().is_unspecified() && asked.ip().is_unspecified()
}

fn own(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_mean_the_same() {
        let check = |passed: &str, asked: &str, want| {
            assert_eq!(same(passed.parse().unwrap(), asked.parse().unwrap()), want, "{passed} {asked}");
        };
        check("127.0.0.1:4000", "127.0.0.1:4000", true);
        check("[::]:4000", "0.0.0.0:4000", true);
        check("0.0.0.0:4000", "127.0.0.1:4000", false);
        check("[::]:4000", "0.0.0.0:4001", false);
    }

    #[tokio::test]
    async fn what_was_passed_on_is_taken_by_its_address_and_nothing_is_left_over() {
        let open = || {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            (listener.local_addr().unwrap(), listener)
        };
        let (one, other) = (open(), open());
        let (first, second) = (one.0, other.0);
        let mut sockets = Sockets { passed: vec![one, other] };
        assert_eq!(sockets.at(second, "`server.listen`").unwrap().local_addr().unwrap(), second);
        let error = sockets.all_taken().unwrap_err().to_string();
        assert!(error.contains(&format!("server.listen: {first}")), "{error}");
        assert_eq!(sockets.at(first, "`server.admin_listen`").unwrap().local_addr().unwrap(), first);
        sockets.all_taken().unwrap();
        // Where nothing was passed on, the socket is the process's own.
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let error = sockets.at(taken.local_addr().unwrap(), "`server.listen`").unwrap_err().to_string();
        assert!(error.contains("choose another for `server.listen`"), "{error}");
    }
}
