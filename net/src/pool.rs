//! Connections in slots. All memory is reserved at boot, touched when a slot is first used, and
//! never given back: a slot is recycled with its socket and buffer.

use crate::flow::Flow;
use alloc::boxed::Box;
use alloc::collections::TryReserveError;
use alloc::vec;
use alloc::vec::Vec;
use core::mem::{self, MaybeUninit};
use core::ops::{Index, IndexMut};
use core::slice;
use smoltcp::iface::{SocketSet, SocketStorage};
use smoltcp::socket::tcp;

/// The slots.
pub(crate) struct Pool {
    /// Bytes of a receive buffer.
    buffer: usize,
    /// Slots used at least once.
    flows: Vec<Flow>,
    /// Of those the free ones. The last freed goes first: its memory is warm.
    free: Vec<u32>,
    /// Untouched rest of the reservation for buffers.
    bytes: &'static mut [MaybeUninit<u8>],
    /// Untouched rest of the reservation for sockets.
    sockets: &'static mut [MaybeUninit<SocketStorage<'static>>],
    /// What a new buffer is filled with.
    blank: Box<[u8]>,
}

impl Pool {
    /// Reserves memory for `limit` connections with receive buffers of `buffer` bytes.
    ///
    /// # Errors
    /// When the heap cannot give it.
    pub fn new(buffer: usize, limit: usize) -> Result<Pool, TryReserveError> {
        let mut flows = Vec::new();
        flows.try_reserve_exact(limit)?;
        let mut free = Vec::new();
        free.try_reserve_exact(limit)?;
        Ok(Pool {
            buffer,
            flows,
            free,
            bytes: reserve(limit * buffer)?,
            sockets: reserve(limit)?,
            blank: vec![0; buffer].into_boxed_slice(),
        })
    }

    /// Bytes that one connection takes, beside its buffer.
    pub const fn cost() -> usize {
        size_of::<Flow>() + size_of::<u32>() + size_of::<SocketStorage<'static>>()
    }

    /// A free slot.
    pub fn take(&mut self) -> Option<u32> {
        if let Some(index) = self.free.pop() {
            return Some(index);
        }
        let (storage, sockets) = mem::take(&mut self.sockets).split_first_mut()?;
        self.sockets = sockets;
        let rx = self.buffer()?;
        let mut set = SocketSet::new(slice::from_mut(storage.write(SocketStorage::EMPTY)));
        let handle = set.add(tcp::Socket::new(
            tcp::SocketBuffer::new(rx),
            // What is sent lies elsewhere.
            tcp::SocketBuffer::new(&mut [][..]),
        ));
        self.flows.push(Flow::new(set, handle));
        Some(self.flows.len() as u32 - 1)
    }

    /// Slots used at least once.
    pub fn used(&self) -> u32 {
        self.flows.len() as u32
    }

    /// Whether there is a free slot.
    pub fn is_full(&self) -> bool {
        self.free.is_empty() && self.sockets.is_empty()
    }

    /// Gives a slot back.
    pub fn give_back(&mut self, index: u32) {
        self.free.push(index);
    }

    fn buffer(&mut self) -> Option<&'static mut [u8]> {
        let (buffer, rest) = mem::take(&mut self.bytes).split_at_mut_checked(self.buffer)?;
        self.bytes = rest;
        Some(buffer.write_copy_of_slice(&self.blank))
    }
}

impl Index<u32> for Pool {
    type Output = Flow;
    fn index(&self, index: u32) -> &Flow {
        &self.flows[index as usize]
    }
}

impl IndexMut<u32> for Pool {
    fn index_mut(&mut self, index: u32) -> &mut Flow {
        &mut self.flows[index as usize]
    }
}

/// Memory for `len` values that lives as long as the program and is not touched.
fn reserve<T>(len: usize) -> Result<&'static mut [MaybeUninit<T>], TryReserveError> {
    let mut memory: Vec<T> = Vec::new();
    memory.try_reserve_exact(len)?;
    let spare = Box::leak(Box::new(memory)).spare_capacity_mut();
    let len = len.min(spare.len());
    Ok(&mut spare[..len])
}
