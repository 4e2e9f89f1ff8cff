//! IP beside TCP: packets that have to be made plain first, fragments, ICMP, and how often who
//! is answered.

mod fragment;
mod icmp;
mod limit;
mod message;
mod plain;

pub(crate) use fragment::{Fragments, LARGEST};
pub(crate) use icmp::{Complaint, Fault, Message, parse};
pub(crate) use limit::Limit;
pub(crate) use message::{Route, Sender};
pub(crate) use plain::{Form, is_extension, plain};
