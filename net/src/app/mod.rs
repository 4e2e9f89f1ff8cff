//! Applications: handlers of the programmer's own in front of the site.
//!
//! An [`Application`] is a list of routes, each a method, a path and a [`Handler`]. A request goes
//! to the guest's own endpoints first (`/healthz`, `/stats.json`), then to the first route that
//! matches, then to the site.
//!
//! A handler runs in the guest's only loop: it must not wait, and what it computes keeps everybody
//! waiting. It answers at once, or with a stream that is asked for its next piece when there is
//! room, or when the time has come that it has named. Nothing is allocated for a request: a
//! handler's memory is its own, reserved at boot, and each connection carries a small [`State`]
//! for it. A panic in a handler is a panic of the kernel.
//!
//! ```
//! use quartz_net::app::{Application, Body, Guest, Handler, Method, Next, Reply, Request, State, Writer};
//! use quartz_net::Duration;
//! use core::fmt::Write;
//!
//! /// `GET /hello/:name?shout=1`
//! struct Hello;
//!
//! impl Handler for Hello {
//!     fn handle(&mut self, request: &Request<'_>, reply: &mut Reply<'_>, _: &Guest<'_>) -> Body {
//!         let name = request.param("name").unwrap_or("stranger");
//!         let mark = if request.query("shout").is_some() { "!" } else { "." };
//!         reply.field("Content-Type", "text/plain; charset=utf-8");
//!         let _ = write!(reply, "Hello {name}{mark}\n");
//!         Body::Written
//!     }
//! }
//!
//! /// `GET /clock`: server-sent events, one a second.
//! struct Clock;
//!
//! impl Handler for Clock {
//!     fn handle(&mut self, _: &Request<'_>, reply: &mut Reply<'_>, _: &Guest<'_>) -> Body {
//!         reply.field("Content-Type", "text/event-stream");
//!         reply.field("Cache-Control", "no-store");
//!         Body::Stream { len: None, state: State::default() }
//!     }
//!
//!     fn stream(&mut self, _: &mut State, out: &mut Writer<'_>, guest: &Guest<'_>) -> Next {
//!         if guest.is_draining() {
//!             return Next::Done;
//!         }
//!         let _ = write!(out, "data: up {} s\n\n", guest.now().secs());
//!         Next::At(guest.now() + Duration::from_secs(1))
//!     }
//! }
//!
//! let application = Application::new()
//!     .route(Method::Get, "/hello/:name", Hello)
//!     .route(Method::Get, "/clock", Clock);
//! ```

mod guest;
mod handler;
mod reply;
mod request;

pub use guest::Guest;
pub use handler::{Body, Handler, Next, State};
pub use reply::{Reply, Writer};
pub use request::Request;

use crate::http::request::Method as Sent;
use crate::site::path;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use quartz_abi::site::{Captures, Pattern};

/// Longest path that a route is looked up for, in bytes.
const LONGEST_PATH: usize = 8192;

/// The methods that a route can be for. A route for GET answers HEAD too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the names are those of RFC 9110, 9.3, and RFC 5789"
)]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// Every method with its name.
    const NAMES: [(Method, &'static str); 5] = [
        (Method::Get, "GET, HEAD"),
        (Method::Post, "POST"),
        (Method::Put, "PUT"),
        (Method::Patch, "PATCH"),
        (Method::Delete, "DELETE"),
    ];

    /// The one that answers what was sent.
    fn of(sent: Sent) -> Option<Method> {
        Some(match sent {
            Sent::Get | Sent::Head => Method::Get,
            Sent::Post => Method::Post,
            Sent::Put => Method::Put,
            Sent::Patch => Method::Patch,
            Sent::Delete => Method::Delete,
            Sent::Options => return None,
        })
    }
}

struct Route {
    method: Method,
    path: Pattern<'static>,
    handler: Box<dyn Handler>,
}

/// Handlers and their paths, and the site that is served beside them.
#[derive(Default)]
pub struct Application {
    routes: Vec<Route>,
    site: Option<&'static [u8]>,
    /// A path is put into its plain form here.
    plain: Box<[u8]>,
}

/// What a request leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A route, by its number.
    Route(u16),
    /// Routes for other methods; of these methods.
    Others(Methods),
    /// None.
    Nothing,
}

/// A set of methods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Methods(u8);

impl Methods {
    /// Their names as `Allow` has them.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let names = Method::NAMES.iter();
        let names = names.filter(move |(method, _)| self.0 & (1 << *method as u8) != 0);
        names.map(|(_, name)| *name)
    }
}

impl Application {
    /// No handler and no site.
    #[must_use]
    pub fn new() -> Application {
        Application::default()
    }

    /// The image of the site that is served if the guest is started without one.
    #[must_use]
    pub fn site(mut self, image: &'static [u8]) -> Application {
        self.site = Some(image);
        self
    }

    /// Adds a route; of several that match, the first counts. In the path `*` stands for any bytes
    /// and `:name` for one segment, as in `_redirects` ([`quartz_abi::site::redirects`]).
    ///
    /// # Panics
    /// The path is no such pattern: the program is wrong.
    #[must_use]
    pub fn route(
        mut self,
        method: Method,
        path: &'static str,
        handler: impl Handler + 'static,
    ) -> Application {
        let path = match Pattern::new(path.as_bytes()) {
            Ok(pattern) => pattern,
            Err(fault) => panic!("the route `{path}`: {fault}"),
        };
        assert!(self.routes.len() < usize::from(u16::MAX), "too many routes");
        if self.plain.is_empty() {
            self.plain = vec![0; LONGEST_PATH].into_boxed_slice();
        }
        self.routes.push(Route {
            method,
            path,
            handler: Box::new(handler),
        });
        self
    }

    /// The image of [`Application::site`].
    #[must_use]
    pub fn own_site(&self) -> Option<&'static [u8]> {
        self.site
    }

    /// Whether there are no routes.
    pub(crate) fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// The route for a request.
    pub(crate) fn find(&mut self, sent: Sent, path: &[u8]) -> Found {
        if self.routes.is_empty() {
            return Found::Nothing;
        }
        let Some(plain) = plain(path, &mut self.plain) else {
            return Found::Nothing;
        };
        let wanted = Method::of(sent);
        let mut others = Methods::default();
        for (number, route) in self.routes.iter().enumerate() {
            if route.path.matches(plain).is_none() {
                continue;
            }
            if Some(route.method) == wanted {
                return Found::Route(number as u16);
            }
            others.0 |= 1 << route.method as u8;
        }
        match others.0 {
            0 => Found::Nothing,
            _ => Found::Others(others),
        }
    }

    /// A route's handler.
    pub(crate) fn handler(&mut self, route: u16) -> &mut dyn Handler {
        &mut *self.routes[usize::from(route)].handler
    }

    /// Lets a route's handler see a request.
    pub(crate) fn with_request<R>(
        &mut self,
        route: u16,
        request: &crate::http::request::Request<'_>,
        call: impl FnOnce(&mut dyn Handler, &Request<'_>) -> R,
    ) -> R {
        let Route {
            path: pattern,
            handler,
            ..
        } = &mut self.routes[usize::from(route)];
        let path = plain(request.path, &mut self.plain).unwrap_or(b"/");
        let captures: Captures<'_, '_> = pattern.matches(path).unwrap_or_default();
        let request = Request::new(request, path, captures);
        call(&mut **handler, &request)
    }
}

/// A path without escapes and dots, with its slash.
fn plain<'a>(path: &[u8], memory: &'a mut [u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(b"/")?;
    *memory.first_mut()? = b'/';
    let len = path::plain(rest, &mut memory[1..])?;
    Some(&memory[..=len])
}
