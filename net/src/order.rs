//! Members in the order in which they joined: a few lists over one fixed array of links.
//!
//! Each member is in at most one list. Everything takes the same few steps whatever the number of
//! members.

use alloc::vec::Vec;

const NONE: u32 = u32::MAX;
const NOWHERE: u8 = u8::MAX;

#[derive(Clone, Copy)]
struct Node {
    before: u32,
    after: u32,
    list: u8,
}

#[derive(Clone, Copy)]
struct List {
    first: u32,
    last: u32,
    len: u32,
}

/// `LISTS` lists over members that are small numbers.
pub(crate) struct Order<const LISTS: usize> {
    nodes: Vec<Node>,
    lists: [List; LISTS],
}

impl<const LISTS: usize> Order<LISTS> {
    /// For the members 0 to `limit`, exclusive.
    pub fn new(limit: usize) -> Self {
        Order {
            nodes: Vec::with_capacity(limit),
            lists: [List {
                first: NONE,
                last: NONE,
                len: 0,
            }; LISTS],
        }
    }

    /// Bytes per member.
    pub const fn cost() -> usize {
        size_of::<Node>()
    }

    /// Makes `member` the youngest of `list`, wherever it was before.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub fn join(&mut self, member: u32, list: usize) {
        self.leave(member);
        while self.nodes.len() <= member as usize {
            self.nodes.push(Node {
                before: NONE,
                after: NONE,
                list: NOWHERE,
            });
        }
        let last = self.lists[list].last;
        self.nodes[member as usize] = Node {
            before: last,
            after: NONE,
            list: list as u8,
        };
        match last {
            NONE => self.lists[list].first = member,
            last => self.nodes[last as usize].after = member,
        }
        self.lists[list].last = member;
        self.lists[list].len += 1;
    }

    /// Takes `member` out of its list, if it is in one.
    #[cfg_attr(target_os = "none", optimize(speed))]
    pub fn leave(&mut self, member: u32) {
        let Some(&node) = self.nodes.get(member as usize) else {
            return;
        };
        if node.list == NOWHERE {
            return;
        }
        let list = &mut self.lists[usize::from(node.list)];
        list.len -= 1;
        match node.before {
            NONE => list.first = node.after,
            before => self.nodes[before as usize].after = node.after,
        }
        match node.after {
            NONE => list.last = node.before,
            after => self.nodes[after as usize].before = node.before,
        }
        self.nodes[member as usize].list = NOWHERE;
    }

    /// The member that has been in `list` the longest.
    pub fn oldest(&self, list: usize) -> Option<u32> {
        let first = self.lists[list].first;
        (first != NONE).then_some(first)
    }

    /// The members of `list`, oldest first.
    pub fn members(&self, list: usize) -> impl Iterator<Item = u32> + '_ {
        core::iter::successors(self.oldest(list), |member| {
            let after = self.nodes[*member as usize].after;
            (after != NONE).then_some(after)
        })
    }

    /// Whether `member` is in `list`.
    pub fn holds(&self, member: u32, list: usize) -> bool {
        let node = self.nodes.get(member as usize);
        node.is_some_and(|node| usize::from(node.list) == list)
    }

    /// Members of `list`.
    pub fn len(&self, list: usize) -> usize {
        self.lists[list].len as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    #[test]
    fn behaves_like_plain_queues() {
        let mut order = Order::<2>::new(16);
        let mut model = [VecDeque::new(), VecDeque::new()];
        let mut random = 1u32;
        for _ in 0..20_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let member = random >> 28;
            let action = random >> 26 & 3;
            for list in &mut model {
                list.retain(|&m| m != member);
            }
            if action < 2 {
                order.join(member, action as usize);
                model[action as usize].push_back(member);
            } else {
                order.leave(member);
            }
            for (list, model) in model.iter().enumerate() {
                assert_eq!(order.oldest(list), model.front().copied());
                assert_eq!(order.len(list), model.len());
                assert!(order.members(list).eq(model.iter().copied()));
                assert!((0..16).all(|m| order.holds(m, list) == model.contains(&m)));
            }
        }
    }
}
