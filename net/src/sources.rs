//! How many connections each client has: a bounded table that never grows, kept when there is a
//! limit per client (`conns_per_source=`). A client is an IPv4 address or an IPv6 network of 64
//! bits, of which a client commands every address.

use crate::segment::Tuple;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use siphasher::sip::SipHasher13;

/// Clients and their connections.
pub(crate) struct Sources {
    counts: HashTable<(u128, u32)>,
    key: SipHasher13,
    /// Most connections of a client.
    limit: u32,
}

impl Sources {
    /// For `flows` connections of which a client may have `limit`; `key` is random.
    pub fn new(flows: usize, limit: u32, key: &[u8; 16]) -> Sources {
        Sources {
            // Twice what is used: then deleted entries are cleared in place.
            counts: HashTable::with_capacity(flows * 2),
            key: SipHasher13::new_with_key(key),
            limit,
        }
    }

    /// Bytes per connection.
    pub const fn cost() -> usize {
        5 * (size_of::<(u128, u32)>() + 1)
    }

    fn find(&mut self, source: u128) -> Entry<'_, (u128, u32)> {
        let key = self.key;
        let hash = |source: u128| key.hash(&source.to_ne_bytes());
        self.counts
            .entry(hash(source), |e| e.0 == source, |e| hash(e.0))
    }

    /// Whether the client of a connection to be may have one more.
    pub fn admits(&mut self, tuple: &Tuple) -> bool {
        let limit = self.limit;
        match self.find(source(tuple)) {
            Entry::Occupied(entry) => entry.get().1 < limit,
            Entry::Vacant(_) => true,
        }
    }

    /// A connection begins.
    pub fn enter(&mut self, tuple: &Tuple) {
        let source = source(tuple);
        self.find(source).or_insert((source, 0)).into_mut().1 += 1;
    }

    /// A connection has ended.
    pub fn leave(&mut self, tuple: &Tuple) {
        if let Entry::Occupied(mut entry) = self.find(source(tuple)) {
            entry.get_mut().1 -= 1;
            if entry.get().1 == 0 {
                entry.remove();
            }
        }
    }
}

/// Who a client is.
fn source(tuple: &Tuple) -> u128 {
    match tuple.is_ipv4() {
        true => tuple.remote,
        false => tuple.remote >> 64 << 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::mapped;

    fn tuple(remote: u128, port: u16) -> Tuple {
        Tuple {
            remote,
            local: mapped([10, 0, 2, 15]),
            remote_port: port,
            local_port: 80,
        }
    }

    #[test]
    fn counts_each_client_for_itself() {
        let mut sources = Sources::new(10, 2, &[1; 16]);
        let (one, two) = (mapped([192, 0, 2, 1]), mapped([192, 0, 2, 2]));
        for port in 1..3 {
            assert!(sources.admits(&tuple(one, port)));
            sources.enter(&tuple(one, port));
        }
        assert!(!sources.admits(&tuple(one, 3)));
        assert!(sources.admits(&tuple(two, 3)));
        sources.leave(&tuple(one, 1));
        assert!(sources.admits(&tuple(one, 3)));
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let mut sources = Sources::new(10, 1, &[1; 16]);
        let network = 0x2001_0db8_0000_0001_u128 << 64;
        sources.enter(&tuple(network | 1, 1));
        assert!(!sources.admits(&tuple(network | 2, 1)));
        assert!(sources.admits(&tuple(network + (1 << 64), 1)));
    }

    #[test]
    fn a_million_clients_do_not_grow_it() {
        let mut sources = Sources::new(100, 1, &[1; 16]);
        let storage = sources.counts.allocation_size();
        for n in 0..1_000_000u32 {
            sources.enter(&tuple(mapped(n.to_be_bytes()), 1));
            if n >= 100 {
                sources.leave(&tuple(mapped((n - 100).to_be_bytes()), 1));
            }
        }
        assert_eq!(sources.counts.allocation_size(), storage);
        assert_eq!(sources.counts.len(), 100);
    }
}
