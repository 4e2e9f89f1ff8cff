//! The vhost-user protocol, as QEMU speaks it to a network device: messages in, replies out.
//!
//! A loop of our own on the `vhost` crate's message types. Its ready-made handler refuses
//! SET_VRING_ENABLE before the first SET_FEATURES, which is what QEMU 7.2 sends.

use rustix::cmsg_space;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use std::io::{self, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use thiserror::Error;
use vhost::vhost_user::message::{
    FrontendReq, MAX_MSG_SIZE, VhostUserMemory, VhostUserMemoryRegion, VhostUserU64,
    VhostUserVringAddr, VhostUserVringState,
};
use vm_memory::ByteValued;

/// Version 1 of the protocol, in the low bits of the flags.
const VERSION: u32 = 1;
const REPLY: u32 = 1 << 2;
const NEED_REPLY: u32 = 1 << 3;
/// Regions in one SET_MEM_TABLE; the protocol's limit.
const MAX_REGIONS: usize = 8;
/// Bit of SET_VRING_KICK, CALL and ERR that says that no file comes along.
const NO_FD: u64 = 1 << 8;
/// Time in which a message, once begun, has to be there.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a session ended badly.
#[derive(Debug, Error)]
pub enum ProtocolError {
    /// The socket failed.
    #[error("vhost-user socket: {0}")]
    Io(#[from] io::Error),
    /// A message that makes no sense.
    #[error("vhost-user message {code}: {what}")]
    Malformed {
        /// Its request number.
        code: u32,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// A message of QEMU's. Numbers and files as they came.
pub(crate) enum Request {
    GetFeatures,
    SetFeatures(u64),
    GetProtocolFeatures,
    SetMemTable(Vec<VhostUserMemoryRegion>, Vec<OwnedFd>),
    SetVringNum(usize, u32),
    SetVringAddr(usize, VhostUserVringAddr),
    SetVringBase(usize, u32),
    GetVringBase(usize),
    SetVringKick(usize, Option<OwnedFd>),
    SetVringCall(usize, Option<OwnedFd>),
    SetVringEnable(usize, bool),
    /// Known and of no consequence here.
    Other,
}

/// A request with what an answer needs.
pub(crate) struct Message {
    pub code: FrontendReq,
    pub request: Request,
    pub need_reply: bool,
}

/// One connection from QEMU.
#[derive(Debug)]
pub(crate) struct Session(UnixStream);

impl Session {
    pub fn new(socket: UnixStream) -> io::Result<Session> {
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Session(socket))
    }

    /// The next message; `None` if QEMU hung up.
    pub fn receive(&mut self) -> Result<Option<Message>, ProtocolError> {
        let mut header = [0; 12];
        let mut files = Vec::new();
        let got = receive_with_files(&self.0, &mut header, &mut files)?;
        if got == 0 {
            return Ok(None);
        }
        self.0.read_exact(&mut header[got..])?;
        let word = |at: usize| u32::from_ne_bytes([0, 1, 2, 3].map(|n| header[at + n]));
        let (number, flags, size) = (word(0), word(4), word(8) as usize);
        let malformed = |what| ProtocolError::Malformed { code: number, what };
        if flags & 3 != VERSION || flags & REPLY != 0 {
            return Err(malformed("wrong flags"));
        }
        if size > MAX_MSG_SIZE {
            return Err(malformed("too long"));
        }
        let mut body = vec![0; size];
        self.0.read_exact(&mut body)?;
        let code = FrontendReq::try_from(number).map_err(|_| malformed("unknown request"))?;
        let request = parse(code, &body, files).ok_or_else(|| malformed("bad body"))?;
        Ok(Some(Message {
            code,
            request,
            need_reply: flags & NEED_REPLY != 0,
        }))
    }

    /// Answers with a number.
    pub fn reply_u64(&mut self, code: FrontendReq, value: u64) -> Result<(), ProtocolError> {
        self.reply(code, VhostUserU64::new(value).as_slice())
    }

    /// Answers GET_VRING_BASE.
    pub fn reply_state(&mut self, index: usize, num: u16) -> Result<(), ProtocolError> {
        let state = VhostUserVringState::new(index as u32, u32::from(num));
        self.reply(FrontendReq::GET_VRING_BASE, state.as_slice())
    }

    fn reply(&mut self, code: FrontendReq, body: &[u8]) -> Result<(), ProtocolError> {
        let header = [code.into(), VERSION | REPLY, body.len() as u32];
        let mut bytes: Vec<u8> = header.iter().flat_map(|w: &u32| w.to_ne_bytes()).collect();
        bytes.extend_from_slice(body);
        self.0.write_all(&bytes)?;
        Ok(())
    }
}

impl AsFd for Session {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn receive_with_files(
    socket: &UnixStream,
    bytes: &mut [u8],
    files: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_REGIONS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(bytes)];
    let got = recvmsg(socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            files.extend(received);
        }
    }
    Ok(got.bytes)
}

fn parse(code: FrontendReq, body: &[u8], mut files: Vec<OwnedFd>) -> Option<Request> {
    let request = match code {
        FrontendReq::GET_FEATURES => Request::GetFeatures,
        FrontendReq::SET_FEATURES => Request::SetFeatures(read::<VhostUserU64>(body)?.value),
        FrontendReq::GET_PROTOCOL_FEATURES => Request::GetProtocolFeatures,
        FrontendReq::SET_MEM_TABLE => {
            let head = size_of::<VhostUserMemory>();
            let count = read::<VhostUserMemory>(body)?.num_regions as usize;
            let (regions, rest) = body
                .get(head..)?
                .as_chunks::<{ size_of::<VhostUserMemoryRegion>() }>();
            if count != regions.len() || !rest.is_empty() {
                return None;
            }
            let regions = regions
                .iter()
                .map(|r| read(r))
                .collect::<Option<Vec<_>>>()?;
            Request::SetMemTable(regions, files)
        }
        FrontendReq::SET_VRING_NUM => {
            let (index, num) = state(body)?;
            Request::SetVringNum(index, num)
        }
        FrontendReq::SET_VRING_BASE => {
            let (index, num) = state(body)?;
            Request::SetVringBase(index, num)
        }
        FrontendReq::GET_VRING_BASE => Request::GetVringBase(state(body)?.0),
        FrontendReq::SET_VRING_ENABLE => {
            let (index, num) = state(body)?;
            Request::SetVringEnable(index, num != 0)
        }
        FrontendReq::SET_VRING_ADDR => {
            let address = read::<VhostUserVringAddr>(body)?;
            Request::SetVringAddr(address.index as usize, address)
        }
        FrontendReq::SET_VRING_KICK => {
            let (index, file) = vring_file(body, &mut files)?;
            Request::SetVringKick(index, file)
        }
        FrontendReq::SET_VRING_CALL => {
            let (index, file) = vring_file(body, &mut files)?;
            Request::SetVringCall(index, file)
        }
        _ => Request::Other,
    };
    Some(request)
}

fn read<T: ByteValued>(body: &[u8]) -> Option<T> {
    T::read_exact_from(body).ok()
}

fn state(body: &[u8]) -> Option<(usize, u32)> {
    let state = read::<VhostUserVringState>(body)?;
    Some((state.index as usize, state.num))
}

fn vring_file(body: &[u8], files: &mut Vec<OwnedFd>) -> Option<(usize, Option<OwnedFd>)> {
    let value = read::<VhostUserU64>(body)?.value;
    let file = if value & NO_FD == 0 {
        Some(files.pop()?)
    } else {
        None
    };
    Some(((value & 0xff) as usize, file))
}
