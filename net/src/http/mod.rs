//! HTTP/1.1 over one socket (RFC 9110, RFC 9112).
//!
//! Reads requests from a socket's receive buffer and writes answers into its send buffer. Knows
//! nothing of frames, addresses and timers: it says what it waits for, and the flow sets the
//! deadline.

pub(crate) mod answer;
pub(crate) mod body;
mod condition;
pub(crate) mod conn;
pub(crate) mod date;
mod ear;
pub(crate) mod fields;
mod handled;
mod memo;
mod multipart;
mod negotiation;
pub(crate) mod range;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod route;
pub(crate) mod status;
mod target;

pub(crate) use conn::{Conn, Wait};
pub(crate) use ear::Ear;
pub(crate) use memo::Memo;
pub(crate) use status::Status;
