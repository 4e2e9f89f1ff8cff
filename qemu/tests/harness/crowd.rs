//! Many clients that have had an answer and say nothing more.

use super::soon;
use quartz::http::Client;
use rustix::process::{Resource, getrlimit, setrlimit};
use std::net::SocketAddr;

/// Connections that are open and idle.
pub struct Crowd(Vec<Client>);

impl Crowd {
    /// Opens `count` connections to `site`, with one request on each.
    pub fn gather(site: SocketAddr, count: usize) -> Crowd {
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        setrlimit(Resource::Nofile, limit).unwrap();
        Crowd(
            (0..count)
                .map(|n| {
                    let mut client = Client::connect(site, soon())
                        .unwrap_or_else(|error| panic!("connection {n}: {error}"));
                    let answer = client.request("GET", "/");
                    let answer = answer.unwrap_or_else(|error| panic!("request {n}: {error}"));
                    assert_eq!(answer.status, 200);
                    client
                })
                .collect(),
        )
    }

    /// Sends a request on each connection. Those that did not answer it.
    pub fn ask_again(&mut self) -> usize {
        let asked = self.0.iter_mut().map(|client| {
            client.set_deadline(soon());
            client.request("GET", "/")
        });
        asked
            .filter(|answer| !answer.as_ref().is_ok_and(|answer| answer.status == 200))
            .count()
    }
}
