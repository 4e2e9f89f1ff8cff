//! From a 4-tuple to what stands for it: a keyed hash table that never grows.
//!
//! The key is random, so that nobody can choose addresses that collide. The table holds at most
//! half of what its storage could: then hashbrown clears deleted entries in place and never
//! allocates again.

use crate::segment::Tuple;
use hashbrown::HashTable;
use siphasher::sip::SipHasher13;

/// What a tuple stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A connection, by its slot in the pool.
    Flow(u32),
    /// A record of a closed connection.
    TimeWait(u32),
}

struct Entry {
    hash: u64,
    target: Target,
}

/// The table.
pub(crate) struct Table {
    entries: HashTable<Entry>,
    key: SipHasher13,
    limit: usize,
}

impl Table {
    /// Room for `limit` entries; `key` is random.
    pub fn new(limit: usize, key: &[u8; 16]) -> Table {
        Table {
            entries: HashTable::with_capacity(limit * 2),
            key: SipHasher13::new_with_key(key),
            limit,
        }
    }

    /// Bytes that the table takes per entry of its limit.
    pub const fn cost() -> usize {
        // Twice the entries, at most 7/8 full and rounded up to a power of two, with a control
        // byte each.
        5 * (size_of::<Entry>() + 1)
    }

    /// The hash of a tuple.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub fn hash(&self, tuple: &Tuple) -> u64 {
        tuple.hash(&self.key)
    }

    /// What the tuple with this hash stands for; `is` compares the tuple itself.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub fn find(&self, hash: u64, is: impl Fn(Target) -> bool) -> Option<Target> {
        self.entries
            .find(hash, |entry| entry.hash == hash && is(entry.target))
            .map(|entry| entry.target)
    }

    /// Enters a target. The caller keeps to the limit and does not enter a tuple twice.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub fn insert(&mut self, hash: u64, target: Target) {
        debug_assert!(self.entries.len() < self.limit);
        self.entries
            .insert_unique(hash, Entry { hash, target }, |entry| entry.hash);
    }

    /// Takes a target out.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub fn remove(&mut self, hash: u64, target: Target) {
        if let Ok(entry) = self
            .entries
            .find_entry(hash, |entry| entry.target == target)
        {
            entry.remove();
        }
    }

    #[cfg(test)]
    fn storage(&self) -> usize {
        self.entries.allocation_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(n: u32) -> Tuple {
        Tuple {
            remote: crate::segment::mapped(n.to_be_bytes()),
            local: crate::segment::mapped([10, 0, 2, 15]),
            remote_port: n as u16,
            local_port: 80,
        }
    }

    #[test]
    fn a_million_changes_do_not_grow_it() {
        let limit = 300;
        let mut table = Table::new(limit, &[7; 16]);
        let storage = table.storage();
        for n in 0..1_000_000u32 {
            let old = n.wrapping_sub(limit as u32);
            if n >= limit as u32 {
                table.remove(table.hash(&tuple(old)), Target::Flow(old));
            }
            table.insert(table.hash(&tuple(n)), Target::Flow(n));
        }
        assert_eq!(table.storage(), storage);
        for n in 1_000_000 - limit as u32..1_000_000 {
            let found = table.find(table.hash(&tuple(n)), |t| t == Target::Flow(n));
            assert_eq!(found, Some(Target::Flow(n)));
        }
        assert_eq!(
            table.find(table.hash(&tuple(5)), |t| t == Target::Flow(5)),
            None
        );
    }

    #[test]
    fn each_part_of_the_tuple_counts_and_so_does_the_key() {
        let table = Table::new(8, &[7; 16]);
        let base = tuple(1);
        let v6 = Tuple {
            remote: 1 << 100,
            ..base
        };
        let others = [
            Tuple {
                remote: base.remote + 1,
                ..base
            },
            Tuple {
                local: base.local + 1,
                ..base
            },
            Tuple {
                remote_port: 9,
                ..base
            },
            Tuple {
                local_port: 9,
                ..base
            },
            v6,
            Tuple { local: 1, ..v6 },
            Tuple {
                local_port: 9,
                ..v6
            },
        ];
        for other in others {
            assert_ne!(table.hash(&base), table.hash(&other));
        }
        assert_ne!(table.hash(&base), Table::new(8, &[8; 16]).hash(&base));
    }
}
